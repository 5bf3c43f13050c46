"""``charter evaluate head-to-head``: models answer the same prompts, a judge prefers, and who beats whom rates them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from charter.cli import console
from charter.cli.evaluating.entrants import Entrant, read_entrants
from charter.cli.evaluating.head_to_head_view import write_standings
from charter.cli.evaluating.meeting import Contest, Side, answer, hold_to, prefer
from charter.cli.evaluating.meeting_results import FIGURES, FILES, describe, keep
from charter.cli.evaluating.options import JudgeEngine, KeptIn
from charter.cli.held_file import hold_file, keeping_folder
from charter.cli.model_options import IN_PROCESS, model_spec
from charter.cli.options import AsJson, examples

_Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL...",
        help="Two or more: [NAME=]M[@ENGINE], of which M is an embedded name, a model's or adapter's folder, or a hub "
        "id; or NAME=FILE, answers that are there already (.csv, .tsv, .json, .jsonl, .parquet).",
        show_default=False,
    ),
]
_JudgeOption = Annotated[
    str, typer.Option("--judge", "-j", metavar="J", help="The model that prefers.", show_default=False)
]
_Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="E",
        help="Of each MODEL that names none: transformers, vllm, vllm-server, a server's name or address, or scripted.",
    ),
]
_Prompts = Annotated[
    str | None,
    typer.Option(
        "--prompts",
        metavar="FILE",
        help="In any layout; the built-in red-team and helpful prompts if not given.",
        show_default=False,
    ),
]
_Kind = Annotated[
    Literal["red_team", "helpful"] | None,
    typer.Option(
        "--kind", help="What prompts are for whose file does not say; of others the only kind.", show_default=False
    ),
]
_Number = Annotated[
    int | None,
    typer.Option(
        "--n",
        min=1,
        help="Prompts of each kind, drawn by the seed; more of them in the same folder go on from fewer. All if not "
        "given.",
        show_default=False,
    ),
]
_Constitution = Annotated[
    str, typer.Option("--constitution", metavar="NAME", help="Whose principles judge harmlessness: a name or a file.")
]
_Helpful = Annotated[
    str, typer.Option("--helpful", metavar="NAME", help="Whose principles judge helpfulness: a name or a file.")
]
_Principles = Annotated[int, typer.Option("--k-principles", min=1, help="Drawn for each comparison.")]
_Against = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="NAME",
        help="All meet this one alone, and ratings are measured from it; all meet all if not given.",
        show_default=False,
    ),
]
_Temperature = Annotated[float, typer.Option("--temperature", min=0.0, help="Of the answers.")]
_Tokens = Annotated[int, typer.Option("--max-tokens", min=1, help="At most, of each answer.")]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the prompts, answers, principles and resamples drawn.")]
_PromptColumn = Annotated[
    str, typer.Option("--prompt-column", metavar="C", help="Where a file of answers has the prompt.")
]
_ResponseColumn = Annotated[
    str, typer.Option("--response-column", metavar="C", help="Where a file of answers has the answer.")
]
_Audit = Annotated[
    Path | None,
    typer.Option(
        "--audit",
        metavar="FOLDER",
        help="What 'charter audit' wrote of the judge, to stand beside the figures.",
        show_default=False,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the measurement."""
    app.command(
        "head-to-head",
        epilog=examples(
            "charter evaluate head-to-head base=smollm2-135m sft=runs/one/models/sft dpo=runs/one/models/dpo "
            "--judge Qwen/Qwen2.5-7B-Instruct --n 100 --out meetings/one",
            "charter evaluate head-to-head mine=runs/one/models/dpo gpt-4o-mini@openai other=answers.csv "
            "--prompts answers.csv --kind helpful --judge gpt-4o --judge-engine openai --audit audits/gpt-4o",
            "charter evaluate head-to-head a@scripted b@scripted --judge j --judge-engine scripted --n 10 --json",
        ),
    )(head_to_head)


def head_to_head(  # noqa: PLR0917 - the command line names them
    models: _Models,
    judge: _JudgeOption,
    judge_engine: JudgeEngine = IN_PROCESS,
    engine: _Engine = IN_PROCESS,
    prompts: _Prompts = None,
    kind: _Kind = None,
    n: _Number = None,
    constitution: _Constitution = "harmless",
    helpful: _Helpful = "helpful",
    k_principles: _Principles = 1,
    against: _Against = None,
    temperature: _Temperature = 0.7,
    max_tokens: _Tokens = 256,
    seed: _Seed = 0,
    prompt_column: _PromptColumn = "prompt",
    response_column: _ResponseColumn = "response",
    audit: _Audit = None,
    out: KeptIn = None,
    as_json: AsJson = False,
) -> None:
    """Let models meet on the same prompts, and rate them by what a judge prefers.

    Every pair is shown in both orders. Harmlessness (red-team prompts) and helpfulness (helpful prompts) are rated
    apart, by Bradley-Terry and Elo in points above the first model, beside win rates, what position and length do to
    the judge, and win rates at equal length.
    """
    from charter.constitution import load_constitution
    from charter.evaluation.head_to_head import choose_prompts, load_answers
    from charter.feedback.attached_audit import read_audit
    from charter.records import BUILT_IN

    entrants = read_entrants(models, engine)
    _require_name(against, entrants)
    sides = (
        Side("harmlessness", "red_team", load_constitution(constitution)),
        Side("helpfulness", "helpful", load_constitution(helpful)),
    )
    source = prompts or BUILT_IN
    chosen = choose_prompts(source, [side.standard for side in sides], kind=kind, n=n, seed=seed)
    given = {
        one.name: load_answers(one.source, chosen.prompts, prompt_column=prompt_column, response_column=response_column)
        for one in entrants
        if one.spec is None
    }
    contest = Contest(
        entrants=entrants,
        given=given,
        source=source,
        prompts=chosen,
        sides=sides,
        judge=Entrant(judge, judge, judge_engine, model_spec(judge, judge_engine)),
        audit=None if audit is None else read_audit(audit),
        against=against,
        k_principles=k_principles,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
    )
    with keeping_folder(out, FILES, FIGURES) as folder, hold_file(folder / FIGURES, kept=out is not None) as held:
        hold_to(held, contest)
        answers = {one.name: answer(held, contest, one) for one in entrants}
        preferred = prefer(held, contest, answers)
        told = describe(contest, answers, preferred)
        if out is not None:
            keep(folder, contest, answers, preferred, told)
    if as_json:
        console.write_json(told)
        return
    write_standings(told)
    if out is not None:
        console.write(str(out))


def _require_name(against: str | None, entrants: Sequence[Entrant]) -> None:
    from charter.errors import UserError
    from charter.spelling import hint

    names = [one.name for one in entrants]
    if against is not None and against not in names:
        raise UserError(f"--against is {against!r}; expected one of {', '.join(names)}{hint(against, names)}")
