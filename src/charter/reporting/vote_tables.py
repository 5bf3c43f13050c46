"""Tables of whose votes labels are made of: what each principle and judge carries, and how far they agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from charter.feedback.agreement import Agreement, agreements
from charter.feedback.influence import Influence, influences, votes_on
from charter.records import OWN_JUDGE, Preference
from charter.reporting import wording
from charter.reporting.label_quality import VoterQuality, by_judge, by_principle
from charter.reporting.layout import Column, rate, table
from charter.reporting.markup import Markup, element, join
from charter.reporting.reading import RunData
from charter.seeds import derive_seed

_MOST_ROWS = 60  # of agreements: the clearest conflicts
_MOST_PAIRS = 2_000  # whose margins are parted one set of voters after another
_FEW_VOTES = 6  # on a pair: 2**6 sets are nothing

_CARRIES = (
    "Carries: the share of all labels' margins towards the chosen side that it brings, parted among those who voted on "
    "a pair by what each brings on average over all orders of coming in (Shapley 1953); who pulls the other way has a "
    "negative share. Flips without it: labels that choose the other response if its vote is left out. No new call is "
    "made for these figures."
)
_AGREE = (
    "Of pairs that both voted on: how often both prefer the same response, with its 95 % interval over prompts; the "
    "rest are conflicts. Pairs on which one of them prefers neither are counted beside it."
)


def vote_tables(data: RunData) -> Markup:
    """Write all tables that the votes of a run give."""
    several = len({verdict.judge for one in data.judged for verdict in one.verdicts}) > 1
    each = _voters("Principle", by_principle(data.judged))
    return join(
        element("details", element("summary", "Verdicts per principle"), each),
        element("h3", "Which principle carries the labels"),
        element("p", _CARRIES, class_="small"),
        _carried(data.preferences, "principle"),
        _conflicts(data.preferences, "principle"),
        _judges(data) if several else None,
    )


def _judges(data: RunData) -> Markup:
    return join(
        element("h3", "What each judge says"),
        _voters("Judge", by_judge(data.judged)),
        _carried(data.preferences, "judge"),
        _conflicts(data.preferences, "judge"),
    )


def _voters(what: str, found: Iterable[VoterQuality]) -> Markup:
    """Write what the verdicts of each principle, or of each judge, are worth."""
    rows = [
        [
            element("code", row.name),
            wording.count(row.n_verdicts),
            wording.count(row.n_invalid),
            rate(row.with_label) if row.with_label else "none readable",
            "not read in both orders" if row.position_bias is None else f"{row.position_bias:.2f}",
        ]
        for row in found
    ]
    names = ("Verdicts", "Invalid", "Sides with the label", "Mean position bias")
    return table([Column(what), *(Column(name, numeric=True) for name in names)], rows)


def _carried(preferences: Sequence[Preference], by: Literal["principle", "judge"]) -> Markup:
    some = _some(preferences)
    votes = {one.id: votes_on(one, by) for one in some}
    rows = [_influence(one) for one in influences(votes)]
    names = ("Pairs", "Carries", "Flips without it", "No vote without it")
    note = f"Over {wording.count(len(some))} of {wording.count(len(preferences))} preferences, drawn by their ids."
    return join(
        table([Column(by.capitalize()), *(Column(name, numeric=True) for name in names)], rows),
        element("p", note, class_="small") if len(some) < len(preferences) else None,
    )


def _influence(one: Influence) -> list[object]:
    return [
        element("code", one.principle or OWN_JUDGE),
        wording.count(one.n),
        wording.value(one.carried, "rate"),
        wording.count(one.turned),
        wording.count(one.emptied),
    ]


def _some(preferences: Sequence[Preference]) -> Sequence[Preference]:
    """Draw preferences where many votes of different weights would take long to be parted."""
    is_long = any(
        len({verdict.principle for verdict in one.verdicts}) > _FEW_VOTES
        and len({verdict.weight for verdict in one.verdicts}) > 1
        for one in preferences
    )
    if not is_long or len(preferences) <= _MOST_PAIRS:
        return preferences
    return sorted(preferences, key=lambda one: derive_seed(0, one.id, "influence"))[:_MOST_PAIRS]


def _conflicts(preferences: Sequence[Preference], by: Literal["principle", "judge"]) -> Markup:
    found = agreements(preferences, by)
    if not found:
        return element("p", f"No pair has votes of two {by}s.", class_="small")
    shown = sorted(found, key=_clearest)[:_MOST_ROWS]
    rows = [
        [
            join(element("code", one.one or OWN_JUDGE), " and ", element("code", one.other or OWN_JUDGE)),
            rate(one.same) if one.same else "never both decided",
            wording.count(one.n_tied),
        ]
        for one in shown
    ]
    n_left = len(found) - len(shown)
    more = f" The {wording.counted(n_left, 'pair')} of {by}s that agree most surely are not listed." if n_left else ""
    columns = [Column(f"{by.capitalize()}s"), Column("Agree", numeric=True), Column("Undecided pairs", numeric=True)]
    summary = element("summary", f"Agreement and conflict between {by}s")
    return element("details", summary, element("p", f"{_AGREE}{more}", class_="small"), table(columns, rows))


def _clearest(one: Agreement) -> tuple[float, str, str]:
    """Order by how far down the interval reaches up: the surest conflict first."""
    same = one.same
    high = 1.0 if same is None else same.value if same.high is None else same.high
    return high, one.one, one.other
