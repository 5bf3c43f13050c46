"""What the judge's verdicts are worth: agreement with intention, position bias, option mass, invalid verdicts.

Pure: preferences in, figures out. All are over the preferences that the label stage kept, but for agreement: pairs that
it dropped because the judge disagreed count there too, or it would be whole by construction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean, median

from charter.feedback.votes import BothOrders, both_orders
from charter.records import OWN_JUDGE, Pair, Preference, Verdict
from charter.statistics import Interval, rate_interval

_EVEN = 0.5


@dataclass(frozen=True)
class SourceQuality:
    """The labels of one source of pairs.

    ``agreement`` is over the ``n_intended`` pairs whose source meant a side and of which the judge favours one:
    ``n_dropped`` of them were dropped. In ``n_undecided`` more it favours neither. Figures of preferences are None
    where all were dropped.
    """

    source: str
    n: int
    n_intended: int
    n_undecided: int
    n_dropped: int
    agreement: Interval | None
    p_chosen: float | None
    position_bias: float | None
    n_verdicts: int
    n_invalid: int
    option_mass: float | None


@dataclass(frozen=True)
class VoterQuality:
    """The verdicts of one principle, or of one judge. ``with_label``: how often they side with the final label."""

    name: str
    n_verdicts: int
    n_invalid: int
    with_label: Interval | None
    position_bias: float | None


def by_source(preferences: Iterable[Preference], dropped: Iterable[Pair] = ()) -> tuple[SourceQuality, ...]:
    """Measure the labels of each source, in the sources' order by name.

    Args:
        preferences: that were kept.
        dropped: the pairs that were dropped because the judge disagreed with their source.
    """
    kept: dict[str, list[Preference]] = defaultdict(list)
    for preference in preferences:
        kept[preference.source].append(preference)
    against: dict[str, list[Pair]] = defaultdict(list)
    for pair in dropped:
        against[pair.source].append(pair)
    return tuple(_source(source, kept[source], against[source]) for source in sorted({*kept, *against}))


def by_principle(preferences: Iterable[Preference]) -> tuple[VoterQuality, ...]:
    """Measure the verdicts of each principle, in the principles' order by id."""
    return _by_voter(preferences, lambda one: one.principle)


def by_judge(preferences: Iterable[Preference]) -> tuple[VoterQuality, ...]:
    """Measure the verdicts of each judge, in the judges' order by name."""
    return _by_voter(preferences, lambda one: one.judge or OWN_JUDGE)


def _by_voter(
    preferences: Iterable[Preference], name: Callable[[Verdict | BothOrders], str]
) -> tuple[VoterQuality, ...]:
    verdicts: dict[str, list[tuple[Preference, Verdict]]] = defaultdict(list)
    orders: dict[str, list[BothOrders]] = defaultdict(list)
    for preference in preferences:
        for verdict in preference.verdicts:
            verdicts[name(verdict)].append((preference, verdict))
        for both in both_orders([preference]):
            orders[name(both)].append(both)
    return tuple(_voter(one, verdicts[one], orders[one]) for one in sorted(verdicts))


def invalid_reasons(preferences: Iterable[Preference]) -> dict[str, int]:
    """Count invalid verdicts by reason, commonest first."""
    reasons = Counter(v.invalid for p in preferences for v in p.verdicts if v.invalid is not None)
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))


def _source(source: str, preferences: list[Preference], dropped: list[Pair]) -> SourceQuality:
    verdicts = [verdict for preference in preferences for verdict in preference.verdicts]
    judged = [(p.agrees, p.prompt.id) for p in preferences if p.agrees is not None]
    judged += [(False, pair.prompt.id) for pair in dropped]
    masses = [verdict.option_mass for verdict in verdicts if verdict.option_mass is not None]
    agreement = (
        rate_interval([bool(yes) for yes, _ in judged], groups=[prompt for _, prompt in judged]) if judged else None
    )
    return SourceQuality(
        source=source,
        n=len(preferences),
        n_intended=len(judged),
        n_undecided=sum(p.intended is not None and p.agrees is None for p in preferences),
        n_dropped=len(dropped),
        agreement=agreement,
        p_chosen=fmean(p.p_chosen for p in preferences) if preferences else None,
        position_bias=fmean(p.position_bias for p in preferences) if preferences else None,
        n_verdicts=len(verdicts),
        n_invalid=sum(verdict.invalid is not None for verdict in verdicts),
        option_mass=median(masses) if masses else None,
    )


def _voter(name: str, read: list[tuple[Preference, Verdict]], orders: list[BothOrders]) -> VoterQuality:
    sided = [
        ((verdict.p_a > _EVEN) == (preference.chosen_side == "a"), preference.prompt.id)
        for preference, verdict in read
        if verdict.p_a is not None and verdict.p_a != _EVEN
    ]
    return VoterQuality(
        name=name,
        n_verdicts=len(read),
        n_invalid=sum(verdict.invalid is not None for _, verdict in read),
        with_label=rate_interval([yes for yes, _ in sided], groups=[prompt for _, prompt in sided]) if sided else None,
        position_bias=fmean(abs(both.shown_first - both.shown_second) for both in orders) if orders else None,
    )
