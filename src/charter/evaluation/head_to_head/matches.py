"""Matches: two models' answers to one prompt, of which a judge prefers one, asked in both orders (CAI §1.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from charter.constitution.drawing import draw_principles
from charter.constitution.model import Constitution, Principle
from charter.evaluation.measuring import measure
from charter.feedback.judge import Judge, judge_one
from charter.feedback.votes import TIE_WIDTH
from charter.records import Comparison, Measurement, Prompt, PromptKind, Response, Verdict
from charter.rows import Mapped, RowMapper
from charter.seeds import derive_seed, row_id

ROWS = "data/comparisons.parquet"


@dataclass(frozen=True)
class Match:
    """One prompt with both models' answers."""

    prompt: Prompt
    model: str
    base: str
    answer: str
    base_answer: str

    @property
    def id(self) -> str:
        """The comparison's id."""
        return row_id("comparison", self.prompt.id, self.model, self.base)


async def compare_one(match: Match, judge: Judge, principles: Sequence[Principle]) -> Comparison:
    """Judge one match under the given principles; equal answers are a tie that needs no judge."""
    if match.answer == match.base_answer:
        return _comparison(match, 0.5, (), 0.0)
    judgement = await judge_one(judge, match.id, match.prompt, match.answer, match.base_answer, principles)
    return _comparison(match, judgement.p_a, judgement.verdicts, judgement.position_bias)


def _comparison(match: Match, p_model: float | None, verdicts: tuple[Verdict, ...], bias: float) -> Comparison:
    win = None
    if p_model is not None:
        win = 0.5 if abs(p_model - 0.5) < TIE_WIDTH else float(p_model > 0.5)
    return Comparison(
        id=match.id,
        prompt=match.prompt,
        model=match.model,
        base=match.base,
        win=win,
        p_model=p_model,
        position_bias=bias,
        verdicts=verdicts,
    )


def matches(base: Sequence[Response], own: Sequence[Response], kind: PromptKind) -> list[Match]:
    """Pair two models' answers to the prompts of one kind."""
    answers = {response.prompt.id: response for response in base}
    return [
        Match(one.prompt, one.model, answers[one.prompt.id].model, one.text, answers[one.prompt.id].text)
        for one in own
        if one.prompt.kind == kind and one.prompt.id in answers
    ]


def round_robin(
    prompts: Sequence[Prompt], answers: Mapping[str, Mapping[str, str]], *, against: str | None = None
) -> list[Match]:
    """Let every pair of models meet on every prompt that both answered, or all models meet one alone.

    A pair is the same match whichever model is named first: the one whose name comes later in the alphabet is the
    match's ``model``.

    Args:
        prompts: in the order of the matches.
        answers: by model and prompt id.
        against: the model that all others meet; None lets all meet all.
    """
    met = [sorted(pair) for pair in combinations(answers, 2) if against is None or against in pair]
    return [
        Match(prompt, model, base, answers[model][prompt.id], answers[base][prompt.id])
        for prompt in prompts
        for base, model in met
        if prompt.id in answers[model] and prompt.id in answers[base]
    ]


def compare(
    rows: Sequence[Match],
    judge: Judge,
    constitution: Constitution,
    *,
    k_principles: int,
    seed: int,
    mapper: RowMapper,
    stage: str | None = None,
) -> Mapped[Comparison]:
    """Judge every match under ``k_principles`` drawn principles.

    Args:
        rows: the matches.
        judge: how verdicts are asked for.
        constitution: whose principles are drawn.
        k_principles: for each match, all where there are fewer.
        seed: of the draws.
        mapper: what maps the row function.
        stage: under which the rows are recorded; None names it by the first match, whose model is that of all.
    """

    async def one(match: Match) -> Comparison:
        drawn = draw_principles(constitution.used_for("judge"), k_principles, derive_seed(seed, match.id, "principles"))
        return await compare_one(match, judge, drawn)

    of_one = f"evaluate/head to head/{rows[0].model if rows else 'none'}/{rows[0].prompt.kind if rows else 'none'}"
    return mapper(one, rows, stage or of_one, result=Comparison)


def measure_win_rate(
    name: str, comparisons: Mapping[str, Sequence[Comparison]], subset: str, groups: Mapping[str, str]
) -> list[Measurement]:
    """Measure how often the judge prefers each model to the base; ties count a half, invalid rows are left out.

    Each rate is tested against one half, which two equal models would have.

    Args:
        name: of the figure.
        comparisons: per model.
        subset: which prompts these are.
        groups: of the prompts, by id (see ``prompts.grouping.prompt_groups``).
    """
    values = {
        model: {one.prompt.id: one.win for one in rows if one.win is not None} for model, rows in comparisons.items()
    }
    return measure(name, values, subset=subset, better="higher", rows=ROWS, groups=groups, against_even=True)
