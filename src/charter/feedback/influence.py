"""Which principle, or which judge, carries the labels: from recorded votes, with no new calls. Pure.

A label leans towards one response by its margin, p - 1/2. Of the principles that voted on a pair each gets the part of
the margin that it brings on average, over all orders in which the principles could have come in (Shapley 1953): the
parts add up to the margin, principles that vote alike get alike, and one that always says a half gets nothing. A
principle that pulls the other way has a negative part. What is said here of principles holds of several judges too.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from charter.feedback.votes import TIE_WIDTH, votes_of, weights_of
from charter.records import Preference
from charter.seeds import derive_unit

_EXACT = 10  # principles on one pair: 2**10 sets of them are still looked at one by one
_ORDERS = 512  # random orders, beyond that
_EVEN = 0.5


@dataclass(frozen=True)
class Vote:
    """What one principle, or one judge, says of a pair: P(a is better), and how much that counts."""

    principle: str
    p_a: float
    weight: float = 1.0


def votes_on(preference: Preference, by: Literal["principle", "judge"] = "principle") -> list[Vote]:
    """Give the votes that a pair's label was made of, those of one principle or of one judge put together."""
    weights = weights_of(preference.verdicts)
    said: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for voter, both in votes_of(preference.verdicts).items():
        said[getattr(voter, by)].append((sum(both) / 2, weights[voter]))
    return [_together(name, votes) for name, votes in said.items()]


def _together(name: str, votes: Sequence[tuple[float, float]]) -> Vote:
    weight = math.fsum(weight for _, weight in votes)
    return Vote(name, math.fsum(p_a * weight for p_a, weight in votes) / weight, weight)


def margin(votes: Sequence[Vote]) -> float:
    """Give how far the weighted mean of votes leans to a: p - 1/2, and 0 where nobody votes."""
    total = math.fsum(one.weight for one in votes)
    return math.fsum(one.weight * (one.p_a - _EVEN) for one in votes) / total if total else 0.0


def shapley(votes: Sequence[Vote], *, seed: int = 0) -> dict[str, float]:
    """Part a pair's margin among the principles that voted on it.

    Exact where all weigh the same, and up to ten principles; of more, the mean over 512 random orders, which still add
    up to the margin.

    Args:
        votes: of different principles.
        seed: of the random orders.
    """
    if len({one.weight for one in votes}) == 1:
        return _alike(votes)
    if len(votes) > _EXACT:
        return _sampled(votes, seed)
    n = len(votes)
    parts = dict.fromkeys((one.principle for one in votes), 0.0)
    for one in votes:
        others = [other for other in votes if other is not one]
        for size in range(n):
            share = 1.0 / (n * math.comb(n - 1, size))
            for already in itertools.combinations(others, size):
                parts[one.principle] += share * (margin((*already, one)) - margin(already))
    return parts


def _alike(votes: Sequence[Vote]) -> dict[str, float]:
    """Part the margin among votes of one weight, of which no set has to be looked at.

    Whoever comes in first brings its own lean x; whoever comes in after s others brings (x - m) / (s + 1) on average,
    with m the mean lean of all the others.
    """
    n, leans = len(votes), [one.p_a - _EVEN for one in votes]
    total, later = math.fsum(leans), math.fsum(1.0 / (place + 1) for place in range(1, n))
    means = [(total - lean) / (n - 1) if n > 1 else 0.0 for lean in leans]
    return {
        one.principle: (lean + later * (lean - mean)) / n for one, lean, mean in zip(votes, leans, means, strict=True)
    }


def _sampled(votes: Sequence[Vote], seed: int) -> dict[str, float]:
    parts = dict.fromkeys((one.principle for one in votes), 0.0)
    for number in range(_ORDERS):
        lean = total = before = 0.0
        for one in sorted(votes, key=lambda vote: derive_unit(seed, f"{number} {vote.principle}")):
            lean += one.weight * (one.p_a - _EVEN)
            total += one.weight
            now = lean / total if total else 0.0
            parts[one.principle] += (now - before) / _ORDERS
            before = now
    return parts


@dataclass(frozen=True)
class Influence:
    """What a principle does to labels.

    Attributes:
        n: pairs that it voted on.
        carried: of all labels' margins towards the chosen side, the share that it brings; all principles' add up to 1.
        turned: pairs whose chosen side is another one without it; ``emptied`` those that have no vote then.
    """

    principle: str
    n: int
    carried: float
    turned: int
    emptied: int


def influences(pairs: Mapping[str, Sequence[Vote]], *, seed: int = 0) -> tuple[Influence, ...]:
    """Measure each principle's influence on the labels of pairs, the greatest first.

    Args:
        pairs: each pair's votes, by its id.
        seed: of the random orders that large sets of principles are looked at in.
    """
    names = dict.fromkeys(one.principle for votes in pairs.values() for one in votes)
    brought = dict.fromkeys(names, 0.0)
    counts = {name: [0, 0, 0] for name in names}
    for votes in pairs.values():
        whole = margin(votes)
        side = _side(whole)
        for name, part in shapley(votes, seed=seed).items():
            brought[name] += side * part
        for one in votes:
            rest = [other for other in votes if other is not one]
            counts[one.principle][0] += 1
            counts[one.principle][1] += bool(rest) and _side(margin(rest)) != _side(whole)
            counts[one.principle][2] += not rest
    total = math.fsum(brought.values())
    carried = {name: part / total if total else 0.0 for name, part in brought.items()}
    found = [Influence(name, n, carried[name], turned, emptied) for name, (n, turned, emptied) in counts.items()]
    return tuple(sorted(found, key=lambda one: (-one.carried, one.principle)))


def _side(lean: float) -> int:
    return 0 if abs(lean) < TIE_WIDTH else (1 if lean > 0 else -1)
