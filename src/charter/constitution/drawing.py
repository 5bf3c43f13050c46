"""Which principles are asked about, by their weights: one at a time, or several different ones at once."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

from charter.constitution.model import Principle


def draw_principle(principles: Sequence[Principle], seed: int) -> Principle:
    """Draw one principle, each as often as its weight is of all weights."""
    draw = random.Random(seed)  # noqa: S311 - not a secret
    return draw.choices(principles, [principle.weight for principle in principles])[0]


def draw_principles(principles: Sequence[Principle], k: int, seed: int) -> tuple[Principle, ...]:
    """Draw ``k`` different principles by weight, each with the weight that its vote has among the drawn.

    A principle of twice the weight is drawn twice as often, and then its vote counts like the others': its weight has
    acted already. One so heavy that it would have to be drawn more than once is drawn always, and counts for more
    instead. Where all are drawn, the weights act on the votes alone. In every case the weighted mean of the drawn
    votes is, in expectation, the weighted mean of the votes under all principles (Horvitz and Thompson 1952).

    Args:
        principles: what is drawn from.
        k: how many; all of them where there are no more.
        seed: of the row.
    """
    draw = random.Random(seed)  # noqa: S311 - not a secret
    if k >= len(principles) or len({principle.weight for principle in principles}) == 1:
        return tuple(draw.sample(principles, min(k, len(principles))))
    always, rest = _split(draw.sample(principles, len(principles)), k)  # in any order: neighbours are no company
    ends = list(accumulate(principle.weight for principle in rest))
    step = ends[-1] / max(k - len(always), 1)
    start = draw.random()
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
