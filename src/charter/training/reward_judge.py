"""The judge as a reward: a rollout meets others of its group, in both orders, and is worth its share of the wins."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from charter.constitution.model import Principle
from charter.errors import CapabilityError, EngineError, TooManyFailures, Unreachable
from charter.event_loop import result_of
from charter.feedback.judge import Judge, judge_one
from charter.feedback.labels import principles_of_pair
from charter.records import Prompt, PromptKind
from charter.rows import allowed_failures
from charter.seeds import row_id
from charter.training.meetings import meetings
from charter.training.rollouts import Rollout

_EVEN = 0.5
_IN_A_ROW = 20  # comparisons that failed with none told in between: whoever is asked is not there any more


@dataclass
class Failures:
    """Comparisons in which a judge failed: they are left out, and end the training where they are too many.

    Attributes:
        role: who was asked.
        n_asked: how often.
        reasons: how often it failed, by reason.
    """

    role: str = "judge"
    n_asked: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    _n_in_a_row: int = 0
    _last: str = ""

    def note_told(self) -> None:
        """Count a comparison that was told."""
        self.n_asked += 1
        self._n_in_a_row = 0

    def note(self, error: EngineError) -> None:
        """Count one that failed."""
        self._last = str(error)
        self.reasons[self._last] += 1
        self.n_asked += 1
        self._n_in_a_row += 1

    def check(self) -> None:
        """Refuse to go on where more failed than the rows of a stage may, or many in a row.

        Raises:
            TooManyFailures: with the last reason.
        """
        n_failed, allowed = self.reasons.total(), allowed_failures(self.n_asked)
        if n_failed and (n_failed > allowed or self._n_in_a_row >= _IN_A_ROW):
            raise TooManyFailures(
                f"rl: the {self.role.replace('_', ' ')} failed in {n_failed} of {self.n_asked} comparisons, "
                f"{self._n_in_a_row} of them at the end; {allowed} may fail, and {_IN_A_ROW - 1} in a row. The last: "
                f"{self._last}. Mend the cause and run the same command again; the training goes on from its last "
                "checkpoint."
            )


@dataclass(frozen=True)
class JudgeComparison:
    """Asks a judge which of two answers is better; what it was asked before is not asked again, where it remembers.

    Attributes:
        judges: for each kind of prompt.
        principles: that each kind's judge draws from.
        k_principles: drawn for each comparison, by weight.
        seed: of the run.
        failures: those of its engine.
        invalid: how often verdicts were invalid in this sitting, by reason.
    """

    judges: Mapping[PromptKind, Judge]
    principles: Mapping[PromptKind, tuple[Principle, ...]]
    k_principles: int
    seed: int
    failures: Failures = field(default_factory=Failures, compare=False)
    invalid: Counter[str] = field(default_factory=Counter, compare=False)

    def compare_all(self, asked: Sequence[tuple[Prompt, str, str]]) -> list[float | None]:
        """Give ``p_better`` of each prompt and pair of answers, all asked at once; None where the judge failed.

        Raises:
            TooManyFailures: where it failed too often.
            EngineError: where it cannot be asked at all.
        """

        async def ask() -> list[float | None]:
            return await asyncio.gather(*(self._try(*one) for one in asked))

        found = result_of(ask())
        self.failures.check()
        return found

    async def _try(self, prompt: Prompt, one: str, other: str) -> float | None:
        """Ask about one pair; a call that failed tells nothing, and is asked again where the training goes on."""
        try:
            p = await self.p_better(prompt, one, other)
        except (CapabilityError, Unreachable):
            raise
        except EngineError as error:
            self.failures.note(error)
            return None
        if one != other:
            self.failures.note_told()
        return p

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
        self.invalid.update(verdict.invalid for verdict in judgement.verdicts if verdict.invalid)
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
            TooManyFailures: where the judge failed too often.
            EngineError: where it cannot be asked at all.
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

    def why(self) -> str:
        """Say why rollouts had no score in this sitting, and what to do."""
        reasons = self.comparison.invalid + self.comparison.failures.reasons
        counted = ", ".join(f"{reason} ({n:,})" for reason, n in reasons.most_common())
        return (
            f"Verdicts that were invalid in this sitting: {counted}. Look at the judge ('charter audit'), name one in "
            "models.judge that can answer, or lower label.min_option_mass, in a new folder (--out)."
        )


def _shares(n: int, ends: Sequence[tuple[tuple[int, int], float | None]]) -> list[float | None]:
    """Give the mean of what each of a group won."""
    won: list[list[float]] = [[] for _ in range(n)]
    for (first, second), p_first in ends:
        if p_first is not None:
            won[first].append(p_first)
            won[second].append(1.0 - p_first)
    return [sum(shares) / len(shares) if shares else None for shares in won]
