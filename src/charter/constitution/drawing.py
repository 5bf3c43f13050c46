"""Which principles are asked about, by their weights: one at a time, or several different ones at once.

A principle's place in a draw is a hash of the row's seed and its own id, and the others have no part in it. So a
principle that is added to a constitution takes from the others just those rows that fall to it, and the order in the
file decides nothing (rendezvous hashing: Thaler and Ravishankar 1998).
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

from charter.constitution.model import Principle
from charter.seeds import derive_unit


def draw_principle(principles: Sequence[Principle], seed: int) -> Principle:
    """Draw one principle, each as often as its weight is of all weights.

    Each has to wait an exponential time whose rate is its weight, and the first comes (Efraimidis and Spirakis 2006).
    """
    return min(principles, key=lambda one: -math.log(derive_unit(seed, one.id)) / one.weight)


def draw_principles(principles: Sequence[Principle], k: int, seed: int) -> tuple[Principle, ...]:
    """Draw ``k`` different principles by weight, each with the weight that its vote has among the drawn.

    A principle of twice the weight is drawn twice as often, and then its vote counts like the others': its weight has
    acted already. One so heavy that it would have to be drawn more than once is drawn always, and counts for more
    instead. Where all are drawn, the weights act on the votes alone. In every case the weighted mean of the drawn
    votes is, in expectation, the weighted mean of the votes under all principles (Horvitz and Thompson 1952).

    Among principles of the same weight, one more takes the place of one drawn, or of none. Where weights differ it may
    move others too: all of them share one line.

    Args:
        principles: what is drawn from.
        k: how many; all of them where there are no more.
        seed: of the row.
    """
    in_turn = sorted(principles, key=lambda one: derive_unit(seed, one.id))
    if k >= len(principles) or len({principle.weight for principle in principles}) == 1:
        return tuple(in_turn[:k])
    always, rest = _split(in_turn, k)  # in any order: neighbours are no company
    ends = list(accumulate(principle.weight for principle in rest))
    step = ends[-1] / max(k - len(always), 1)
    start = derive_unit(seed, "start of the line")  # which is no id
    # Systematic sampling: points one step apart on a line on which each principle is as long as its weight.
    places = [bisect(ends, (start + n) * step, hi=len(rest) - 1) for n in range(k - len(always))]
    return (*always, *(rest[place].model_copy(update={"weight": step}) for place in places))


def _split(principles: Sequence[Principle], k: int) -> tuple[list[Principle], list[Principle]]:
    """Tell those that weigh no less than one draw's fair share of what is left, heaviest first, from the others."""
    always: list[Principle] = []
    rest = list(principles)
    for principle in sorted(principles, key=lambda one: one.weight, reverse=True):
        if principle.weight * (k - len(always)) < sum(one.weight for one in rest):
            break
        always.append(principle)
        rest.remove(principle)
    return always, rest
