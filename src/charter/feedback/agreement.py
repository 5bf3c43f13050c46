"""How far principles, or judges, agree on the same pairs: from recorded votes, with no new calls. Pure."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from charter.feedback.influence import votes_on
from charter.feedback.votes import TIE_WIDTH
from charter.records import Preference
from charter.statistics import Interval, rate_of

_EVEN = 0.5


@dataclass(frozen=True)
class Agreement:
    """Two voters on the pairs that both voted on.

    Attributes:
        one: the first of them by name; ``other`` is the second.
        same: how often both prefer the same response, of the pairs on which each prefers one; the rest are conflicts.
            None where there is no such pair.
        n_tied: pairs on which one of them prefers neither.
    """

    one: str
    other: str
    same: Interval | None
    n_tied: int


def agreements(
    preferences: Iterable[Preference], by: Literal["principle", "judge"] = "principle"
) -> tuple[Agreement, ...]:
    """Compare every two voters that voted on a pair together, in the order of their names.

    Args:
        preferences: with their verdicts; prompts are what they hang together by.
        by: whose votes are put together.
    """
    sides: dict[tuple[str, str], list[tuple[bool, str]]] = defaultdict(list)
    tied: Counter[tuple[str, str]] = Counter()
    for preference in preferences:
        votes = sorted((vote.principle, vote.p_a - _EVEN) for vote in votes_on(preference, by))
        for (one, lean), (other, its_lean) in itertools.combinations(votes, 2):
            if min(abs(lean), abs(its_lean)) < TIE_WIDTH:
                tied[one, other] += 1
            else:
                sides[one, other].append(((lean > 0) == (its_lean > 0), preference.prompt.id))
    return tuple(Agreement(*names, rate_of(sides.get(names, [])), tied[names]) for names in sorted({*sides, *tied}))
