"""Head to head: two models answer the same prompts, a judge prefers, in both orders (CAI §1.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


def compare(
    rows: Sequence[Match], judge: Judge, constitution: Constitution, *, k_principles: int, seed: int, mapper: RowMapper
) -> Mapped[Comparison]:
    """Judge every match under ``k_principles`` drawn principles."""

    async def one(match: Match) -> Comparison:
        drawn = draw_principles(constitution.used_for("judge"), k_principles, derive_seed(seed, match.id, "principles"))
        return await compare_one(match, judge, drawn)

    stage = f"evaluate/head to head/{rows[0].model if rows else 'none'}/{rows[0].prompt.kind if rows else 'none'}"
    return mapper(one, rows, stage, result=Comparison)


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
