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
from charter.records import Prompt, PromptKind
from charter.seeds import row_id
from charter.training.rollouts import Rollout

_EVEN = 0.5


@dataclass(frozen=True)
class JudgeComparison:
    """Asks a judge which of two answers is better; what it was asked before is not asked again, where it remembers.

    Attributes:
        judges: for each kind of prompt.
        principles: that each kind's judge draws from.
        k_principles: drawn for each comparison, by weight.
        seed: of the run.
    """

    judges: Mapping[PromptKind, Judge]
    principles: Mapping[PromptKind, tuple[Principle, ...]]
    k_principles: int
    seed: int

    def compare_all(self, asked: Sequence[tuple[Prompt, str, str]]) -> list[float | None]:
        """Give ``p_better`` of each prompt and pair of answers, all asked at once.

        Raises:
            EngineError: where the judge failed.
        """
        found: list[float | None] = []

        async def ask() -> None:
            found.extend(await asyncio.gather(*(self.p_better(*one) for one in asked)))

        run_to_end(ask())
        return found

    async def p_better(self, prompt: Prompt, one: str, other: str) -> float | None:
        """Give P(one is better than the other), None where no verdict is valid; equal texts are not asked about."""
        if one == other:
            return _EVEN
        if one > other:  # asked in one way alone, so that the principles are the same whoever comes first
            p_other = await self.p_better(prompt, other, one)
            return None if p_other is None else 1.0 - p_other
        meeting = row_id("meeting", prompt.id, one, other)
        drawn = principles_of_pair(self.principles[prompt.kind], meeting, k=self.k_principles, seed=self.seed)
        judgement = await judge_one(self.judges[prompt.kind], meeting, prompt, one, other, drawn)
        return judgement.p_a


@dataclass(frozen=True)
class JudgeReward:
    """Scores rollouts by asking the judge live.

    Attributes:
        comparison: how it is asked.
        n_meetings: of a rollout with those after it, in a ring: 1 has each meet two others, and half of the group's
            size has all meet all.
    """

    comparison: JudgeComparison
    n_meetings: int

    def __call__(self, rollouts: Sequence[Rollout]) -> list[float | None]:
        """Score rollouts: the mean P(better) over a rollout's meetings, in [0, 1]; None where no verdict is valid.

        Raises:
            EngineError: where the judge failed.
        """
        groups = [list(group) for _, group in groupby(rollouts, key=lambda one: one.prompt.id)]
        met = [meetings(len(group), self.n_meetings) for group in groups]
        asked = [
            (group[first].prompt, group[first].text, group[second].text)
            for group, pairs in zip(groups, met, strict=True)
            for first, second in pairs
        ]
        ends = iter(self.comparison.compare_all(asked))
        return [
            score
            for group, pairs in zip(groups, met, strict=True)
            for score in _shares(len(group), [(pair, next(ends)) for pair in pairs])
        ]


def _shares(n: int, ends: Sequence[tuple[tuple[int, int], float | None]]) -> list[float | None]:
    """Give the mean of what each of a group won."""
    won: list[list[float]] = [[] for _ in range(n)]
    for (first, second), p_first in ends:
        if p_first is not None:
            won[first].append(p_first)
            won[second].append(1.0 - p_first)
    return [sum(shares) / len(shares) if shares else None for shares in won]


def meetings(n: int, n_meetings: int) -> list[tuple[int, int]]:
    """Say who of a group of ``n`` meets whom: each the ``n_meetings`` after it in a ring, no two twice."""
    found = {
        tuple(sorted((first, (first + step) % n))): None
        for step in range(1, min(n_meetings, n - 1) + 1)
        for first in range(n)
    }
    return [(first, second) for first, second in found]
