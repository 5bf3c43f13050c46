"""The judge as a reward: a rollout meets others of its group, in both orders, and is worth its share of the wins."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from charter.constitution.model import Principle
from charter.event_loop import run_to_end
from charter.feedback.judge import Judge, judge_one
from charter.feedback.labels import principles_of_pair
from charter.records import PromptKind
from charter.seeds import row_id
from charter.training.rollouts import Rollout

_EVEN = 0.5


@dataclass(frozen=True)
class JudgeReward:
    """Scores rollouts by asking the judge live; what it was asked before it is not asked again, where it remembers.

    Attributes:
        judges: for each kind of prompt.
        principles: that each kind's judge draws from.
        k_principles: drawn for each meeting, by weight.
        n_meetings: of a rollout with those after it, in a ring: 1 has each meet two others, and half of the group's
            size has all meet all.
        seed: of the run.
    """

    judges: Mapping[PromptKind, Judge]
    principles: Mapping[PromptKind, tuple[Principle, ...]]
    k_principles: int
    n_meetings: int
    seed: int

    def __call__(self, rollouts: Sequence[Rollout]) -> list[float | None]:
        """Score rollouts: the mean P(better) over a rollout's meetings, in [0, 1]; None where no verdict is valid.

        Raises:
            EngineError: where the judge failed.
        """
        found: list[float | None] = []

        async def ask() -> None:
            groups = [list(group) for _, group in groupby(rollouts, key=lambda one: one.prompt.id)]
            for scores in await asyncio.gather(*(self._score_group(group) for group in groups)):
                found.extend(scores)

        run_to_end(ask())
        return found

    async def _score_group(self, group: Sequence[Rollout]) -> list[float | None]:
        met = meetings(len(group), self.n_meetings)
        ends = await asyncio.gather(*(self._meet(group[first], group[second]) for first, second in met))
        won: list[list[float]] = [[] for _ in group]
        for (first, second), p_first in zip(met, ends, strict=True):
            if p_first is not None:
                won[first].append(p_first)
                won[second].append(1.0 - p_first)
        return [sum(shares) / len(shares) if shares else None for shares in won]

    async def _meet(self, one: Rollout, other: Rollout) -> float | None:
        """Give P(one is better than the other); equal texts are a tie that needs no judge."""
        if one.text == other.text:
            return _EVEN
        if one.text > other.text:  # in one way alone, so that the principles are the same whoever comes first
            p_other = await self._meet(other, one)
            return None if p_other is None else 1.0 - p_other
        kind = one.prompt.kind
        meeting = row_id("meeting", one.prompt.id, one.text, other.text)
        drawn = principles_of_pair(self.principles[kind], meeting, k=self.k_principles, seed=self.seed)
        judgement = await judge_one(self.judges[kind], meeting, one.prompt, one.text, other.text, drawn)
        return judgement.p_a


def meetings(n: int, n_meetings: int) -> list[tuple[int, int]]:
    """Say who of a group of ``n`` meets whom: each the ``n_meetings`` after it in a ring, no two twice."""
    found = {
        tuple(sorted((first, (first + step) % n))): None
        for step in range(1, min(n_meetings, n - 1) + 1)
        for first in range(n)
    }
    return [(first, second) for first, second in found]
