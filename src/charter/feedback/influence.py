"""Which principle, or which judge, carries the labels: from recorded votes, with no new calls. Pure.

The judge leans towards one response by its margin, p - 1/2, before any prior. Of the principles that voted on a pair
each gets the part of the margin that it brings on average, over all orders in which the principles could have come in
(Shapley 1953): the parts add up to the margin, and principles that vote alike get alike. A principle that pulls the
other way has a negative part, and so has one that says a half where others lean: it thins them out. What is said here
of principles holds of several judges too.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from charter.feedback.settling import Decision, Settling, decide
from charter.feedback.votes import TIE_WIDTH, votes_of, weights_of
from charter.records import Preference, Side, Unlabelled
from charter.seeds import derive_seed, derive_unit

_EXACT = 6  # principles on one pair: 2**6 sets of them are still looked at one by one
_MOST_PAIRS = 2_000  # whose margins are parted where that takes long
_ORDERS = 512  # random orders, beyond that
_EVEN = 0.5


@dataclass(frozen=True)
class Vote:
    """What one principle, or one judge, says of a pair: P(a is better), and how much that counts."""

    principle: str
    p_a: float
    weight: float = 1.0


def votes_on(judged: Preference | Unlabelled, by: Literal["principle", "judge"] = "principle") -> list[Vote]:
    """Give the votes that a pair was judged by, those of one principle or of one judge put together."""
    weights = weights_of(judged.verdicts)
    said: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for voter, both in votes_of(judged.verdicts).items():
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

    Exact where all weigh the same, and up to six principles; of more, the mean over 512 random orders, which still add
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
        carried: of the judge's margins on all pairs, each towards the side that it leans to, the share that it brings;
            all principles' add up to 1.
        turned: pairs whose chosen side is another one without it; ``emptied`` those that have no label then.
    """

    principle: str
    n: int
    carried: float
    turned: int
    emptied: int


def some_labels(labels: Sequence[Preference]) -> Sequence[Preference]:
    """Draw some of the labels, by their ids, where many votes of different weights would take long to be parted."""
    is_long = any(
        len({verdict.principle for verdict in one.verdicts}) > _EXACT
        and len({verdict.weight for verdict in one.verdicts}) > 1
        for one in labels
    )
    if not is_long or len(labels) <= _MOST_PAIRS:
        return labels
    return sorted(labels, key=lambda one: derive_seed(0, one.id, "influence"))[:_MOST_PAIRS]


def influences_on(
    labels: Sequence[Preference], settling: Settling, by: Literal["principle", "judge"] = "principle", *, seed: int = 0
) -> tuple[Influence, ...]:
    """Measure the influence of each principle, or judge, on labels that were made in a way (see ``influences``)."""
    of_pair = {one.pair: one for one in labels}

    def choose(pair: str, p_a: float | None) -> Side | None:
        decided = decide(p_a, of_pair[pair].intended, of_pair[pair].source, settling)
        return decided.side if isinstance(decided, Decision) else None

    return influences({one.pair: votes_on(one, by) for one in labels}, choose=choose, seed=seed)


def _likelier(_pair: str, p_a: float | None) -> Side | None:
    """Choose by the judge alone; a tie keeps a."""
    return None if p_a is None else "a" if p_a >= _EVEN else "b"


def influences(
    pairs: Mapping[str, Sequence[Vote]],
    *,
    choose: Callable[[str, float | None], Side | None] = _likelier,
    seed: int = 0,
) -> tuple[Influence, ...]:
    """Measure each principle's influence on the labels of pairs, the greatest first.

    Args:
        pairs: each pair's votes, by its id.
        choose: which side of a pair is chosen where the judge's P(a is better) is this, or where there is no vote; None
            where it has no label then.
        seed: of the random orders that large sets of principles are looked at in.
    """
    names = dict.fromkeys(one.principle for votes in pairs.values() for one in votes)
    brought = dict.fromkeys(names, 0.0)
    counts = {name: [0, 0, 0] for name in names}
    for pair, votes in pairs.items():
        side, chosen = _side(margin(votes)), choose(pair, _p_a(votes))
        for name, part in shapley(votes, seed=seed).items():
            brought[name] += side * part
        for one in votes:
            then = choose(pair, _p_a([other for other in votes if other is not one]))
            counts[one.principle][0] += 1
            counts[one.principle][1] += then is not None and then != chosen
            counts[one.principle][2] += then is None
    total = math.fsum(brought.values())
    carried = {name: part / total if total else 0.0 for name, part in brought.items()}
    found = [Influence(name, n, carried[name], turned, emptied) for name, (n, turned, emptied) in counts.items()]
    return tuple(sorted(found, key=lambda one: (-one.carried, one.principle)))


def _p_a(votes: Sequence[Vote]) -> float | None:
    """Give what votes come to, as ``votes.combine_verdicts`` does: rounding decides between no two responses."""
    if not votes:
        return None
    lean = margin(votes)
    return _EVEN if abs(lean) < TIE_WIDTH else _EVEN + lean


def _side(lean: float) -> int:
    return 0 if abs(lean) < TIE_WIDTH else (1 if lean > 0 else -1)
