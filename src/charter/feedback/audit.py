"""What a judge is worth, held against pairs that people have labelled, before a run is spent on it. Pure.

Agreement and calibration are of whole labels, after both orders and all principles; position is of single readings. All
intervals resample contexts whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from charter.feedback.calibration import Calibration, JudgedPair, LabelQuality, agrees, calibrate, measure
from charter.feedback.votes import BothOrders, Reading, votes_of
from charter.records import Pair
from charter.statistics import Interval, mean_interval, rate_interval

Grade = Literal["unusable", "weak", "usable", "good"]

#: Published yardsticks (RLAIF, arXiv 2309.00267): the best agreement with people that was reported on harmless
#: dialogue, and how often a large, a small and an extra-small judge picked the same position in both orders.
BEST_AGREEMENT = 0.72
SAME_POSITION = {"large": 0.18, "small": 0.21, "extra-small": 0.56}

_EVEN = 0.5
_WEAK_AGREEMENT = 0.6  # below it, two labels of five are people's opposite


@dataclass(frozen=True)
class AuditedPair:
    """A pair with its judgement: what people say is the pair's intended side; a pair without one is a tie to them."""

    pair: Pair
    judged: JudgedPair


@dataclass(frozen=True)
class PositionBias:
    """What a judge does when the two responses change places, over ``n`` readings of a pair under a principle.

    Attributes:
        n: readings in both orders.
        same_position: the share that pick the same position both times, whatever stands there.
        first: of those, the share that pick the first; None where there are none.
        shift: the mean of |P(a, shown first) - P(a, shown second)|.
    """

    n: int
    same_position: Interval
    first: Interval | None
    shift: Interval


@dataclass(frozen=True)
class Part:
    """A part of the audit: the pairs of one category, or the votes of one principle."""

    name: str
    n: int
    n_invalid: int
    agreement: Interval | None
    same_position: Interval | None


@dataclass(frozen=True)
class LengthEffect:
    """How far labels follow length, which people's choices do too.

    Attributes:
        where_shorter: agreement with people on pairs whose better answer is the shorter one; None where there are none.
        where_longer: the same where it is the longer one.
        longer: the share of labels that choose the longer answer.
        longer_by_people: the share of people's choices that do.
    """

    where_shorter: Interval | None
    where_longer: Interval | None
    longer: Interval | None
    longer_by_people: Interval | None


@dataclass(frozen=True)
class Audit:
    """All that is known of a judge; ``calibration`` is None where the pairs are of one context."""

    n_pairs: int
    n_contexts: int
    n_verdicts: int
    invalid: Interval
    n_unlabelled: int
    quality: LabelQuality | None
    position: PositionBias | None
    length: LengthEffect
    calibration: Calibration | None
    by_principle: tuple[Part, ...]
    by_category: tuple[Part, ...]

    @property
    def grade(self) -> Grade:
        """Say what the judge is good for, by agreement and position."""
        if self.quality is None or (self.quality.accuracy.low or 0.0) <= _EVEN:
            return "unusable"
        follows_position = (
            self.position is not None and self.position.same_position.value > SAME_POSITION["extra-small"]
        )
        if self.quality.accuracy.value < _WEAK_AGREEMENT or follows_position:
            return "weak"
        return "good" if (self.quality.accuracy.high or 1.0) >= BEST_AGREEMENT else "usable"


def audit(pairs: Sequence[AuditedPair], *, clamp: tuple[float, float] | None = None, seed: int = 0) -> Audit:
    """Hold a judge's verdicts against people's labels.

    Args:
        pairs: at least one.
        clamp: what the judge's probabilities were held to, with chains of thought.
        seed: of the division into parts that calibration is measured by.
    """
    reading = Reading(clamp=clamp)
    labelled = [(one, p_a) for one in pairs if (p_a := one.judged.p_a(reading)) is not None]
    contexts = {one.judged.context for one, _ in labelled}
    verdicts = [(verdict, one.judged.context) for one in pairs for verdict in one.judged.verdicts]
    return Audit(
        n_pairs=len(pairs),
        n_contexts=len({one.judged.context for one in pairs}),
        n_verdicts=len(verdicts),
        invalid=_some_rate([(verdict.invalid is not None, context) for verdict, context in verdicts]),
        n_unlabelled=len(pairs) - len(labelled),
        quality=measure([(one.judged, p_a) for one, p_a in labelled]) if labelled else None,
        position=position_bias(pairs),
        length=length_effect(labelled),
        calibration=calibrate([one.judged for one in pairs], clamp=clamp, seed=seed) if len(contexts) > 1 else None,
        by_principle=_by_principle(pairs, reading),
        by_category=_by_category(pairs, reading),
    )


def position_bias(pairs: Sequence[AuditedPair]) -> PositionBias | None:
    """Measure what changes when the responses change places; None where no pair was read in both orders."""
    read = [
        (BothOrders(one.pair.prompt.id, name, *both), one.judged.context)
        for one in pairs
        for name, both in votes_of(one.judged.verdicts).items()
    ]
    if not read:
        return None
    shifts = [abs(both.shown_first - both.shown_second) for both, _ in read]
    return PositionBias(
        n=len(read),
        same_position=_some_rate([(both.picks != "response", context) for both, context in read]),
        first=_rate([(both.picks == "first", context) for both, context in read if both.picks != "response"]),
        shift=mean_interval(shifts, groups=[context for _, context in read], limits=(0.0, 1.0)),
    )


def length_effect(labelled: Iterable[tuple[AuditedPair, float]]) -> LengthEffect:
    """Measure how far labels follow length, over pairs whose answers are of different lengths, in characters."""
    agreed: dict[bool, list[tuple[float, str]]] = {True: [], False: []}
    chose: list[tuple[float, str]] = []
    people: list[tuple[float, str]] = []
    for one, p_a in labelled:
        longer_a, context = len(one.pair.a) - len(one.pair.b), one.judged.context
        if longer_a == 0 or one.judged.truth == _EVEN:
            continue
        better_is_shorter = (one.judged.truth > _EVEN) == (longer_a < 0)
        agreed[better_is_shorter].append((agrees(p_a, one.judged.truth), context))
        chose.append((agrees(p_a, float(longer_a > 0)), context))
        people.append((float(not better_is_shorter), context))
    return LengthEffect(_rate(agreed[True]), _rate(agreed[False]), _rate(chose), _rate(people))


def _by_principle(pairs: Sequence[AuditedPair], reading: Reading) -> tuple[Part, ...]:
    """Hold each principle's own votes against people's labels."""
    asked: dict[str, list[AuditedPair]] = defaultdict(list)
    for one in pairs:
        for name in dict.fromkeys(verdict.principle for verdict in one.judged.verdicts):
            own = tuple(verdict for verdict in one.judged.verdicts if verdict.principle == name)
            asked[name].append(replace(one, judged=replace(one.judged, verdicts=own, weights={name: 1.0})))
    return tuple(_part(name, asked[name], reading) for name in sorted(asked))


def _by_category(pairs: Sequence[AuditedPair], reading: Reading) -> tuple[Part, ...]:
    """Hold the labels of each category of prompts against people's."""
    groups: dict[str, list[AuditedPair]] = defaultdict(list)
    for one in pairs:
        if one.pair.prompt.category:
            groups[one.pair.prompt.category].append(one)
    return tuple(_part(name, groups[name], reading) for name in sorted(groups))


def _part(name: str, pairs: Sequence[AuditedPair], reading: Reading) -> Part:
    labelled = [(one, p_a) for one in pairs if (p_a := one.judged.p_a(reading)) is not None]
    position = position_bias(pairs)
    return Part(
        name=name,
        n=len(pairs),
        n_invalid=len(pairs) - len(labelled),
        agreement=_rate([(agrees(p_a, one.judged.truth), one.judged.context) for one, p_a in labelled]),
        same_position=position.same_position if position else None,
    )


def _rate(outcomes: Sequence[tuple[float, str]]) -> Interval | None:
    """Bound a rate of outcomes, each with its context; None of none."""
    return _some_rate(outcomes) if outcomes else None


def _some_rate(outcomes: Sequence[tuple[float, str]]) -> Interval:
    return rate_interval([float(value) for value, _ in outcomes], groups=[context for _, context in outcomes])
