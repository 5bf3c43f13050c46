"""Asking a judge about pairs that people have labelled: the rows of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from charter.constitution.model import Constitution, Principle
from charter.engines.base import Engine
from charter.feedback.calibration import JudgedPair
from charter.feedback.judge import Judge, Judging, judge_one, make_judge
from charter.feedback.labels import principles_of_pair
from charter.prompts.grouping import prompt_groups
from charter.records import Judged, Pair, Side
from charter.rows import Mapped, RowMapper, map_rows

_TRUTH: Mapping[Side | None, float] = {"a": 1.0, "b": 0.0, None: 0.5}


async def judge_pair(pair: Pair, judge: Judge, principles: Sequence[Principle], *, k_principles: int) -> Judged:
    """Ask about one pair under the principles that are drawn for it, as ``label`` does."""
    drawn = principles_of_pair(principles, pair.id, k=k_principles, seed=judge.seed)
    judgement = await judge_one(judge, pair.id, pair.prompt, pair.a, pair.b, drawn)
    return Judged(
        id=pair.id, prompt=pair.prompt, a=pair.a, b=pair.b, intended=pair.intended, verdicts=judgement.verdicts
    )


def judge_pairs(
    pairs: Sequence[Pair],
    constitution: Constitution,
    judge: Engine,
    *,
    k_principles: int,
    judging: Judging,
    seed: int = 0,
    mapper: RowMapper = map_rows,
) -> Mapped[Judged]:
    """Ask a judge about pairs, each in both orders under ``k_principles`` of a constitution."""
    asked = partial(
        judge_pair,
        judge=make_judge(judge, constitution, judging, seed=seed),
        principles=constitution.used_for("judge"),
        k_principles=k_principles,
    )
    return mapper(asked, pairs, "audit", result=Judged)


def as_judged_pairs(rows: Sequence[Judged], authors: Mapping[str, tuple[str, str]] | None = None) -> list[JudgedPair]:
    """Put what a judge said beside what people say: the intended side of a pair is theirs.

    Pairs hang together where their prompts do: conversations of one opening, prompts that say the same. ``authors``
    says of some, by their ids, which models wrote a and b.
    """
    named = authors or {}
    contexts = prompt_groups(row.prompt for row in rows)
    return [
        JudgedPair(
            id=row.id,
            context=contexts[row.prompt.id],
            verdicts=row.verdicts,
            truth=_TRUTH[row.intended],
            category=row.prompt.category,
            longer_a=len(row.a) - len(row.b),
            author_a=named.get(row.id, ("", ""))[0],
            author_b=named.get(row.id, ("", ""))[1],
        )
        for row in rows
    ]
