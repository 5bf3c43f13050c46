"""Helpful tasks of a constitution's domain, each with a reference answer: the row function, and the stage that maps it.

A model that is trained on red-team prompts alone learns to refuse. Helpful tasks from the same settings keep what it is
for, and their reference answers let its loss be measured on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from charter.authoring.answers import TextField
from charter.authoring.briefs import brief_lines, brief_values, draw_opening, language_name
from charter.authoring.checks import row_fault, shown_prompts
from charter.authoring.coverage import Axes, Brief, Subject, plan_briefs
from charter.authoring.few_shots import Values, own_examples, worked_examples
from charter.authoring.structured import Asked, Asking, WorkedExample, ask_for_rows
from charter.authoring.written import WrittenBatch, WrittenPrompt, malformed
from charter.constitution.model import Constitution
from charter.engines.base import Engine
from charter.records import Prompt, make_prompt
from charter.rows import Filtered, Mapped, RowMapper, map_rows

STAGE = "helpful"

#: What helpful tasks are of, where the axes name no categories.
TASKS = ("explain", "write", "rewrite", "summarise", "plan", "compare", "brainstorm", "advise", "how to", "check")

FIELDS = (
    TextField("prompt", "Prompt", "what the person writes to the assistant, whole and ready to be sent"),
    TextField(
        "reference", "Answer", "a very good answer of the assistant: correct, to the point, and as the principles say"
    ),
)

_SYSTEM = (
    "You write everyday tasks for an AI assistant, each with a very good answer. The tasks are messages that a real "
    "person could send; nothing speaks against helping with them, and everything that the answer needs is in the task."
)
_KEYS = ("category", "setting", "register", "length", "language")
_LABELLED_KEYS = ("category", "setting", "register", "language")
_MAX_PRINCIPLES = 12  # the domain is to be felt, not recited


@dataclass(frozen=True)
class HelpfulWriting:
    """How helpful tasks are asked for, the same for every row: form, examples, the domain."""

    asking: Asking
    examples: tuple[WorkedExample, ...] = ()
    domain: str = ""
    source: str = "written"


async def write_helpful_one(brief: Brief, engine: Engine, writing: HelpfulWriting) -> WrittenBatch | Filtered:
    """Write the helpful tasks of one brief, or say why there is none.

    Raises:
        EngineError: where the engine failed. An answer that cannot be read is left out, with its reason.
    """
    shown = shown_prompts(example.rows[0]["prompt"] for example in writing.examples)
    asked = helpful_request(brief, writing)
    answered = await ask_for_rows(
        engine, asked, writing.asking, brief.id, partial(row_fault, shown=shown, fields=FIELDS)
    )
    if not answered.rows:
        return Filtered(malformed(answered.reason))
    written = tuple(
        WrittenPrompt(
            prompt=make_prompt(
                row["prompt"], "helpful", category=brief.category, setting=brief.setting, source=writing.source,
                reference=row["reference"],
            ),
            brief=brief,
        )
        for row in answered.rows
    )  # fmt: skip
    return WrittenBatch(brief=brief, written=written, lost=answered.lost, repaired=answered.repaired)


def helpful_request(brief: Brief, writing: HelpfulWriting) -> Asked:
    """Say what is asked for by a brief, before it takes a form."""
    values = brief_values(brief)
    labelled = writing.asking.form == "labelled"
    system = _SYSTEM if labelled or not writing.domain else f"{_SYSTEM}\n\n{writing.domain}"
    what = f"{brief.n} tasks" if brief.n > 1 else "one task"
    differ = " Let them differ in who asks, and what for." if brief.n > 1 else ""
    task = (
        f"Write {what} of this kind, each with its answer.{differ}\n\n"
        f"Kind of task: {values['category']}\nSetting: {values['setting']}\nRegister: {values['register']}\n"
        f"Length of a task: {values['length']}\nLanguage of tasks and answers: {language_name(values['language'])}"
    )
    about = brief_lines(values, _LABELLED_KEYS if labelled else _KEYS)
    return Asked(system, task, about, FIELDS, brief.n, writing.examples, draw_opening(brief, writing.asking.seed))


def write_helpful(
    constitution: Constitution,
    engine: Engine,
    *,
    n: int = 100,
    per_call: int = 5,
    axes: Axes | None = None,
    existing: Iterable[Prompt] = (),
    few_shots: Sequence[Values] | None = None,
    n_few_shots: int = 5,
    asking: Asking | None = None,
    source: str = "written",
    stage: str = STAGE,
    mapper: RowMapper = map_rows,
) -> Mapped[WrittenBatch]:
    """Write helpful tasks of a constitution's domain.

    Args:
        constitution: its description is the domain, and its principles say what a good answer is.
        engine: who writes.
        n: tasks asked for.
        per_call: tasks asked for in one call, at most.
        axes: what tasks vary by; without categories these are ``TASKS``.
        existing: prompts that are there already; cells of the grid that they leave empty are filled first.
        few_shots: worked examples (see ``few_shots.read_examples``); None shows our own.
        n_few_shots: worked examples shown, the first.
        asking: the form of the answers, how they are drawn, and the seed, which the plan follows too. The domain is not
            shown to small models, which labelled lines are for.
        source: what the prompts name as their source, such as the model.
        stage: the name under which rows are recorded.
        mapper: what maps the row function.

    Returns:
        A batch per call. ``written.settle_written`` leaves near-duplicates out and gives the summary.
    """
    asking = asking or Asking()
    keys = _LABELLED_KEYS if asking.form == "labelled" else _KEYS
    values = own_examples("helpful") if few_shots is None else few_shots
    writing = HelpfulWriting(
        asking=asking,
        examples=worked_examples(values, FIELDS, keys, {})[:n_few_shots],
        domain=_domain(constitution),
        source=source,
    )
    axes = axes or Axes()
    briefs = plan_briefs(helpful_subjects(axes), axes, n=n, per_call=per_call, existing=existing, seed=asking.seed)
    return mapper(partial(write_helpful_one, engine=engine, writing=writing), briefs, stage, result=WrittenBatch)


def helpful_subjects(axes: Axes) -> tuple[Subject, ...]:
    """Give the grid's rows: kinds of task, of no single principle."""
    return (Subject("", axes.categories or TASKS),)


def _domain(constitution: Constitution) -> str:
    shown = constitution.principles[:_MAX_PRINCIPLES]
    principles = "\n".join(f"- {principle.text}" for principle in shown)
    about = (
        f"The assistant's purpose: {constitution.description.strip()}\n\n" if constitution.description.strip() else ""
    )
    return f"{about}What a good answer keeps to:\n{principles}"
