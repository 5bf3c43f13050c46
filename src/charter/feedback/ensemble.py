"""Several judges of one pair: each is asked the same questions, and every vote counts by its judge's weight."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from charter.constitution.model import Constitution
from charter.engines.base import Engine
from charter.feedback.judge import Judge, Judging, Standard, judge_one, make_judge
from charter.feedback.votes import Judgement, combine_verdicts
from charter.records import Prompt
from charter.statistics.scaling import AS_READ, Scaling


@dataclass(frozen=True)
class FurtherJudge:
    """A judge beside the run's own.

    Args:
        name: on its verdicts.
        engine: the model that judges.
        weight: how much its votes count; those of the run's own judge count 1.
        scaling: what its probabilities are calibrated by.
    """

    name: str
    engine: Engine
    weight: float = 1.0
    scaling: Scaling = AS_READ


def make_judges(
    engine: Engine, constitution: Constitution, judging: Judging, further: Sequence[FurtherJudge] = (), *, seed: int = 0
) -> tuple[Judge, ...]:
    """Make the run's own judge and the further ones, which are asked alike.

    Args:
        engine: the model of the run's own judge.
        constitution: whose system text and examples they are shown.
        judging: how they are asked; its scaling is the own judge's.
        further: the others.
        seed: of the run.
    """
    own = make_judge(engine, constitution, judging, seed=seed)
    others = [
        replace(
            make_judge(one.engine, constitution, replace(judging, scaling=one.scaling), seed=seed),
            name=one.name,
            weight=one.weight,
        )
        for one in further
    ]
    return own, *others


async def judge_together(  # noqa: PLR0917 - as ``judge_one``
    judges: Sequence[Judge], row: str, prompt: Prompt, a: str, b: str, principles: Sequence[Standard]
) -> Judgement:
    """Ask every judge about one pair, in both orders under each principle; arguments as in ``judge_one``.

    A judge none of whose verdicts can be read says nothing of the pair, which the others then label.
    """
    found = await asyncio.gather(*(judge_one(judge, row, prompt, a, b, principles) for judge in judges))
    return combine_verdicts([verdict for judgement in found for verdict in judgement.verdicts])
