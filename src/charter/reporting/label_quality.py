"""What the judge's verdicts are worth: agreement with intention, position bias, option mass, invalid verdicts.

Pure: judged pairs in, figures out. Verdicts and agreement are over every pair that was judged, whether it got a label
or not: what is left out for its verdicts, or for their margin, would make them look better than they are. Probabilities
of labels are over labels.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from charter.feedback.votes import BothOrders, both_orders
from charter.records import OWN_JUDGE, Preference, Unlabelled, Verdict
from charter.statistics import Interval, rate_interval

_EVEN = 0.5

JudgedPairs = Iterable[Preference | Unlabelled]


@dataclass(frozen=True)
class SourceQuality:
    """The labels of one source of pairs.

    ``n`` are preferences. ``agreement`` is over the ``n_intended`` judged pairs whose source meant a side and of which
    the judge favours one: ``n_left_out`` of them got no label. In ``n_undecided`` more it favours neither. Figures of
    preferences are None where there is none.
    """

    source: str
    n: int
    n_intended: int
    n_undecided: int
    n_left_out: int
    agreement: Interval | None
    p_chosen: float | None
    position_bias: float | None
    n_verdicts: int
    n_invalid: int
    option_mass: float | None


@dataclass(frozen=True)
class VoterQuality:
    """The verdicts of one principle, or of one judge. ``with_label``: how often they side with the final label.

    Of ``n_chains`` chains of thought that were asked for, ``n_chains_lost`` are in no verdict's mean.
    """

    name: str
    n_verdicts: int
    n_invalid: int
    with_label: Interval | None
    position_bias: float | None
    n_chains: int = 0
    n_chains_lost: int = 0


def by_source(judged: JudgedPairs) -> tuple[SourceQuality, ...]:
    """Measure the labels of each source, in the sources' order by name."""
    found: dict[str, list[Preference | Unlabelled]] = defaultdict(list)
    for one in judged:
        found[one.source].append(one)
    return tuple(_source(source, found[source]) for source in sorted(found))


def by_principle(judged: JudgedPairs) -> tuple[VoterQuality, ...]:
    """Measure the verdicts of each principle, in the principles' order by id."""
    return _by_voter(judged, lambda one: one.principle)


def by_judge(judged: JudgedPairs) -> tuple[VoterQuality, ...]:
    """Measure the verdicts of each judge, in the judges' order by name."""
    return _by_voter(judged, lambda one: one.judge or OWN_JUDGE)


def _by_voter(judged: JudgedPairs, name: Callable[[Verdict | BothOrders], str]) -> tuple[VoterQuality, ...]:
    verdicts: dict[str, list[tuple[Preference | Unlabelled, Verdict]]] = defaultdict(list)
    orders: dict[str, list[BothOrders]] = defaultdict(list)
    for one in judged:
        for verdict in one.verdicts:
            verdicts[name(verdict)].append((one, verdict))
        for both in both_orders([one]):
            orders[name(both)].append(both)
    return tuple(_voter(one, verdicts[one], orders[one]) for one in sorted(verdicts))


def same_position(orders: Sequence[BothOrders]) -> Interval | None:
    """Measure how often a vote picks the same place in both orders, not the same response; None where there is none."""
    if not orders:
        return None
    return rate_interval([both.picks != "response" for both in orders], groups=[both.prompt for both in orders])


def invalid_reasons(judged: JudgedPairs) -> dict[str, int]:
    """Count invalid verdicts by reason, commonest first."""
    reasons = Counter(v.invalid for p in judged for v in p.verdicts if v.invalid is not None)
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))


def _source(source: str, judged: list[Preference | Unlabelled]) -> SourceQuality:
    preferences = [one for one in judged if isinstance(one, Preference)]
    verdicts = [verdict for one in judged for verdict in one.verdicts]
    sided = [one for one in judged if one.agrees is not None]
    masses = [verdict.option_mass for verdict in verdicts if verdict.option_mass is not None]
    agreement = (
        rate_interval([bool(one.agrees) for one in sided], groups=[one.prompt.id for one in sided]) if sided else None
    )
    return SourceQuality(
        source=source,
        n=len(preferences),
        n_intended=len(sided),
        n_undecided=sum(
            one.intended is not None and one.agrees is None and (isinstance(one, Preference) or one.p_a is not None)
            for one in judged
        ),
        n_left_out=sum(isinstance(one, Unlabelled) for one in sided),
        agreement=agreement,
        p_chosen=fmean(p.p_chosen for p in preferences) if preferences else None,
        position_bias=fmean(p.position_bias for p in preferences) if preferences else None,
        n_verdicts=len(verdicts),
        n_invalid=sum(verdict.invalid is not None for verdict in verdicts),
        option_mass=median(masses) if masses else None,
    )


def _voter(name: str, read: list[tuple[Preference | Unlabelled, Verdict]], orders: list[BothOrders]) -> VoterQuality:
    sided = [
        ((verdict.p_a > _EVEN) == (one.chosen_side == "a"), one.prompt.id)
        for one, verdict in read
        if isinstance(one, Preference) and verdict.p_a is not None and verdict.p_a != _EVEN
    ]
    return VoterQuality(
        name=name,
        n_verdicts=len(read),
        n_invalid=sum(verdict.invalid is not None for _, verdict in read),
        with_label=rate_interval([yes for yes, _ in sided], groups=[prompt for _, prompt in sided]) if sided else None,
        position_bias=fmean(abs(both.shown_first - both.shown_second) for both in orders) if orders else None,
        n_chains=sum(verdict.n_chains for _, verdict in read),
        n_chains_lost=sum(verdict.n_chains_lost for _, verdict in read if verdict.n_chains),
    )
