"""What a judge is worth, held against pairs that people have labelled, before a run is spent on it. Pure.

Agreement and calibration are of whole labels, after both orders and all principles; position is of single readings. All
intervals resample contexts whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from charter.feedback.calibration import Calibration, JudgedPair, LabelQuality, agrees, calibrate, measure
from charter.feedback.self_preference import Author, SelfPreference, by_author, self_preference
from charter.feedback.votes import BothOrders, LetterReading, votes_of
from charter.statistics import Interval, mean_interval, rate_of, some_rate

_EVEN = 0.5


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
    """All that is known of a judge.

    Of ``n_chains`` chains of thought that were asked for, ``n_chains_lost`` are in no verdict. ``calibration`` is None
    where the pairs are of one context, ``self_preference`` where none has an answer of its own.
    """

    n_pairs: int
    n_contexts: int
    n_verdicts: int
    invalid: Interval
    n_unlabelled: int
    unlabelled: Interval
    n_chains: int
    n_chains_lost: int
    quality: LabelQuality | None
    position: PositionBias | None
    length: LengthEffect
    calibration: Calibration | None
    by_principle: tuple[Part, ...]
    by_category: tuple[Part, ...]
    self_preference: SelfPreference | None = None
    by_author: tuple[Author, ...] = ()


def audit_judge(
    pairs: Sequence[JudgedPair],
    *,
    clamp: tuple[float, float] | None = None,
    own_names: Collection[str] = (),
    seed: int = 0,
) -> Audit:
    """Hold a judge's verdicts against people's labels.

    Args:
        pairs: at least one.
        clamp: what the judge's probabilities were held to, with chains of thought.
        own_names: by which authors of answers are told to be the judge itself.
        seed: of the division into parts that calibration is measured by.
    """
    reading = LetterReading(clamp=clamp)
    labelled = [(one, p_a) for one in pairs if (p_a := one.p_a(reading)) is not None]
    contexts = {one.context for one, _ in labelled}
    verdicts = [(verdict, one.context) for one in pairs for verdict in one.verdicts]
    return Audit(
        n_pairs=len(pairs),
        n_contexts=len({one.context for one in pairs}),
        n_verdicts=len(verdicts),
        invalid=some_rate([(verdict.invalid is not None, context) for verdict, context in verdicts]),
        n_unlabelled=len(pairs) - len(labelled),
        unlabelled=some_rate([(one.p_a(reading) is None, one.context) for one in pairs]),
        n_chains=sum(verdict.n_chains for verdict, _ in verdicts),
        n_chains_lost=sum(verdict.n_chains_lost for verdict, _ in verdicts if verdict.n_chains),
        quality=measure(labelled) if labelled else None,
        position=position_bias(pairs),
        length=length_effect(labelled),
        calibration=calibrate(pairs, clamp=clamp, seed=seed) if len(contexts) > 1 else None,
        by_principle=_by_principle(pairs, reading),
        by_category=_by_category(pairs, reading),
        self_preference=self_preference(labelled, own_names),
        by_author=by_author(labelled),
    )


def position_bias(pairs: Sequence[JudgedPair]) -> PositionBias | None:
    """Measure what changes when the responses change places; None where no pair was read in both orders."""
    read = [
        (BothOrders(one.id, voter.principle, *both, voter.judge), one.context)
        for one in pairs
        for voter, both in votes_of(one.verdicts).items()
    ]
    if not read:
        return None
    shifts = [abs(both.shown_first - both.shown_second) for both, _ in read]
    return PositionBias(
        n=len(read),
        same_position=some_rate([(both.picks != "response", context) for both, context in read]),
        first=rate_of([(both.picks == "first", context) for both, context in read if both.picks != "response"]),
        shift=mean_interval(shifts, groups=[context for _, context in read], limits=(0.0, 1.0)),
    )


def length_effect(labelled: Iterable[tuple[JudgedPair, float]]) -> LengthEffect:
    """Measure how far labels follow length, over pairs whose answers are of different lengths, in characters."""
    agreed: dict[bool, list[tuple[float, str]]] = {True: [], False: []}
    chose: list[tuple[float, str]] = []
    people: list[tuple[float, str]] = []
    for one, p_a in labelled:
        longer_a, context = one.longer_a, one.context
        if longer_a == 0 or one.truth == _EVEN:
            continue
        better_is_shorter = (one.truth > _EVEN) == (longer_a < 0)
        agreed[better_is_shorter].append((agrees(p_a, one.truth), context))
        chose.append((agrees(p_a, float(longer_a > 0)), context))
        people.append((float(not better_is_shorter), context))
    return LengthEffect(rate_of(agreed[True]), rate_of(agreed[False]), rate_of(chose), rate_of(people))


def _by_principle(pairs: Sequence[JudgedPair], reading: LetterReading) -> tuple[Part, ...]:
    """Hold each principle's own votes against people's labels."""
    asked: dict[str, list[JudgedPair]] = defaultdict(list)
    for one in pairs:
        for name in dict.fromkeys(verdict.principle for verdict in one.verdicts):
            own = tuple(verdict for verdict in one.verdicts if verdict.principle == name)
            asked[name].append(replace(one, verdicts=own))
    return tuple(_part(name, asked[name], reading) for name in sorted(asked))


def _by_category(pairs: Sequence[JudgedPair], reading: LetterReading) -> tuple[Part, ...]:
    """Hold the labels of each category of prompts against people's."""
    groups: dict[str, list[JudgedPair]] = defaultdict(list)
    for one in pairs:
        if one.category:
            groups[one.category].append(one)
    return tuple(_part(name, groups[name], reading) for name in sorted(groups))


def _part(name: str, pairs: Sequence[JudgedPair], reading: LetterReading) -> Part:
    labelled = [(one, p_a) for one in pairs if (p_a := one.p_a(reading)) is not None]
    position = position_bias(pairs)
    return Part(
        name=name,
        n=len(pairs),
        n_invalid=len(pairs) - len(labelled),
        agreement=rate_of([(agrees(p_a, one.truth), one.context) for one, p_a in labelled]),
        same_position=position.same_position if position else None,
    )
