"""The length of answers as a confound: how well it alone tells the chosen one, and pairs in which it does not.

A model that is trained on pairs whose chosen answer is nearly always the longer one learns to write more, whatever the
principles say (Singhal et al. 2023, arXiv 2310.03716).
"""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from charter.records import Pair
from charter.seeds import derive_seed
from charter.statistics import Interval, wilson_interval
from charter.text_quality.trimming import sentence_ends

Unit = Literal["characters", "words"]
Balancing = Literal["drop", "trim"]


@dataclass(frozen=True)
class LengthConfound:
    """How the lengths of chosen and rejected answers differ, over the ``n`` pairs that mean one side to be better.

    ``n_longer`` and ``n_shorter`` count pairs whose chosen answer is longer or shorter; ``longer`` is the share of the
    longer with its interval. ``median_ratio`` is of chosen to rejected. ``auc`` is the probability that a chosen
    answer is longer than a rejected one of any pair, ties counting a half: at 0.5 length tells nothing.
    """

    unit: Unit
    n: int
    n_longer: int
    n_shorter: int
    longer: Interval
    median_ratio: float
    auc: float


@dataclass(frozen=True)
class Balanced:
    """Pairs in which length says nothing of the choice, as far as ``after`` shows, and what was done to get there.

    ``n_dropped`` pairs are left out, of ``n_trimmed`` one answer is shortened. A pair that means neither side to be
    better is kept as it is.
    """

    pairs: tuple[Pair, ...]
    before: LengthConfound
    after: LengthConfound | None
    n_dropped: int = 0
    n_trimmed: int = 0


def length_confound(pairs: Iterable[Pair], *, unit: Unit = "characters") -> LengthConfound | None:
    """Measure how far length alone tells which answer was chosen; None where no pair means one side to be better.

    Args:
        pairs: of any source.
        unit: what is counted. Words are what stands between white space: languages that put none have none.
    """
    return compare_lengths([_lengths(pair, unit) for pair in pairs if pair.intended is not None], unit)


def compare_lengths(lengths: Sequence[tuple[int, int]], unit: Unit = "characters") -> LengthConfound | None:
    """Measure the same from the lengths of chosen and rejected answers; None where there are none."""
    if not lengths:
        return None
    n_longer = sum(chosen > rejected for chosen, rejected in lengths)
    return LengthConfound(
        unit=unit,
        n=len(lengths),
        n_longer=n_longer,
        n_shorter=sum(chosen < rejected for chosen, rejected in lengths),
        longer=wilson_interval(n_longer, len(lengths)),
        median_ratio=statistics.median(max(chosen, 1) / max(rejected, 1) for chosen, rejected in lengths),
        auc=_auc([chosen for chosen, _ in lengths], [rejected for _, rejected in lengths]),
    )


def balance_lengths(
    pairs: Sequence[Pair], how: Balancing, *, seed: int = 0, unit: Unit = "characters"
) -> Balanced | None:
    """Take the length confound out of pairs; None where no pair means one side to be better.

    ``drop`` keeps as many pairs whose chosen answer is longer as ones whose chosen is shorter: all of the rarer sort,
    and of the other those with the nearest ratios of length. ``trim`` ends the longer answer of a pair after a whole
    sentence near the length of the shorter one, just below it or just above, so that the chosen answer is as often the
    longer as the shorter one; what is shortened so is not ``whole``. Pairs keep their order and their ids.

    Args:
        pairs: of any source.
        how: what is given up: pairs, or ends of answers.
        seed: of the order in which pairs find their match.
        unit: see ``length_confound``.
    """
    before = length_confound(pairs, unit=unit)
    if before is None:
        return None
    if how == "drop":
        kept = tuple(pairs[index] for index in _matched(pairs, seed, unit))
        return Balanced(kept, before, length_confound(kept, unit=unit), n_dropped=len(pairs) - len(kept))
    trimmed = _trimmed(pairs, seed, unit)
    n_trimmed = sum(new is not old for new, old in zip(trimmed, pairs, strict=True))
    return Balanced(trimmed, before, length_confound(trimmed, unit=unit), n_trimmed=n_trimmed)


def _length(text: str, unit: Unit) -> int:
    return len(text) if unit == "characters" else len(text.split())


def _lengths(pair: Pair, unit: Unit) -> tuple[int, int]:
    """Measure the intended side and the other."""
    sides = _length(pair.a, unit), _length(pair.b, unit)
    return sides if pair.intended == "a" else (sides[1], sides[0])


def _log_ratio(pair: Pair, unit: Unit) -> float:
    chosen, rejected = _lengths(pair, unit)
    return math.log(max(chosen, 1) / max(rejected, 1))


def _auc(chosen: Sequence[int], rejected: Sequence[int]) -> float:
    ordered = sorted(rejected)
    wins = sum(bisect.bisect_left(ordered, one) + bisect.bisect_right(ordered, one) for one in chosen)
    return wins / (2 * len(chosen) * len(rejected))


def _sign(pair: Pair, unit: Unit) -> int:
    """1 where the chosen side is longer, -1 where it is shorter, 0 for equal lengths and where none is chosen."""
    if pair.intended is None:
        return 0
    chosen, rejected = _lengths(pair, unit)
    return (chosen > rejected) - (chosen < rejected)


def _matched(pairs: Sequence[Pair], seed: int, unit: Unit) -> list[int]:
    """Choose pairs: all that length says nothing of, the rarer sort, and for each of that the nearest of the other."""
    signs = [_sign(pair, unit) for pair in pairs]
    sorts = [[index for index, sign in enumerate(signs) if sign == wanted] for wanted in (1, -1)]
    rarer, other = sorted(sorts, key=len)
    free = sorted((abs(_log_ratio(pairs[index], unit)), index) for index in other)
    taken: list[int] = []
    for index in sorted(rarer, key=lambda one: derive_seed(seed, pairs[one].id, "match lengths")):
        ratio = abs(_log_ratio(pairs[index], unit))
        at = bisect.bisect_left(free, (ratio, -1))
        near = [place for place in (at - 1, at) if 0 <= place < len(free)]
        taken.append(free.pop(min(near, key=lambda place: abs(free[place][0] - ratio)))[1])
    even = [index for index, sign in enumerate(signs) if sign == 0]
    return sorted([*even, *rarer, *taken])


class _Cut(NamedTuple):
    """A way to end a pair's longer side: the pair then, whether the chosen side is longer, and how unequal they are."""

    pair: Pair
    sign: int
    unequal: float


def _trimmed(pairs: Sequence[Pair], seed: int, unit: Unit) -> tuple[Pair, ...]:
    """Take for each pair the cut that leaves its sides most alike; where one sign is left over, turn the cheapest."""
    options = [_cuts(pair, unit) for pair in pairs]
    taken = [min(cuts, key=lambda cut: cut.unequal) for cuts in options]
    excess = sum(cut.sign for cut in taken)
    turns = []
    for index, cut in enumerate(taken):
        against = [other for other in options[index] if other.sign * excess < 0 and cut.sign * excess > 0]
        if against:
            best = min(against, key=lambda other: other.unequal)
            tie = derive_seed(seed, pairs[index].id, "turn lengths")
            turns.append((best.unequal - cut.unequal, tie, index, best))
    for _, _, index, best in sorted(turns, key=lambda turn: turn[:3])[: abs(excess) // 2]:
        taken[index] = best
    return tuple(cut.pair for cut in taken)


def _cuts(pair: Pair, unit: Unit) -> list[_Cut]:
    """Give the ways to end the longer side: as it is, just above the other's length, or just below it."""
    cuts = [_as_cut(pair, unit)]
    if cuts[0].sign == 0:
        return cuts
    a_longer = (cuts[0].sign == 1) == (pair.intended == "a")
    text, limit = (pair.a, _length(pair.b, unit)) if a_longer else (pair.b, _length(pair.a, unit))
    ends = [end for end in sentence_ends(text) if end < len(text.rstrip())]
    n_below = bisect.bisect_right([_length(text[:end], unit) for end in ends], limit)
    for end in ends[max(n_below - 1, 0) : n_below + 1]:
        side = {"a": text[:end], "whole_a": False} if a_longer else {"b": text[:end], "whole_b": False}
        cuts.append(_as_cut(pair.model_copy(update=side), unit))
    return cuts


def _as_cut(pair: Pair, unit: Unit) -> _Cut:
    return _Cut(pair, _sign(pair, unit), abs(_log_ratio(pair, unit)) if pair.intended else 0.0)
