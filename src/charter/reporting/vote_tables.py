"""Tables of whose votes labels are made of: what each principle and judge carries, and how far they agree."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal

from charter.feedback.agreement import Agreement, agreements
from charter.feedback.influence import Influence, influences_on, some_labels
from charter.feedback.settling import Settling
from charter.records import OWN_JUDGE, Preference
from charter.reporting import wording
from charter.reporting.label_quality import VoterQuality, by_judge, by_principle
from charter.reporting.layout import Column, rate, table
from charter.reporting.markup import Markup, element, join
from charter.reporting.reading import RunData

_MOST_ROWS = 60  # of agreements: the clearest conflicts

_CARRIES = (
    "Carries: the share of the judge's margins (p - 1/2, before any prior, towards the side that it leans to) that it "
    "brings, parted among those who voted on a pair by what each brings on average over all orders of coming in "
    "(Shapley 1953); who pulls the other way, or thins the others out, has a negative share. Flips without it: labels "
    "that choose the other response if its vote is left out; no label without it: those that have none then. No new "
    "call is made for these figures."
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
        _carried(data, "principle"),
        _conflicts(data.preferences, "principle"),
        _judges(data) if several else None,
    )


def _judges(data: RunData) -> Markup:
    return join(
        element("h3", "What each judge says"),
        _voters("Judge", by_judge(data.judged)),
        _carried(data, "judge"),
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


def _carried(data: RunData, by: Literal["principle", "judge"]) -> Markup:
    some = some_labels(data.preferences)
    rows = [_influence(one) for one in influences_on(some, _settling(data), by)]
    names = ("Pairs", "Carries", "Flips without it", "No label without it")
    note = f"Over {wording.count(len(some))} of {wording.count(len(data.preferences))} preferences, drawn by their ids."
    return join(
        table([Column(by.capitalize()), *(Column(name, numeric=True) for name in names)], rows),
        element("p", note, class_="small") if len(some) < len(data.preferences) else None,
    )


def _settling(data: RunData) -> Settling:
    """Say how the run made labels, as far as its recipe says so."""
    said = data.recipe.get("label")
    named = {field.name for field in dataclasses.fields(Settling)}
    return (
        Settling(**{key: value for key, value in said.items() if key in named})
        if isinstance(said, dict)
        else Settling()
    )


def _influence(one: Influence) -> list[object]:
    return [
        element("code", one.principle or OWN_JUDGE),
        wording.count(one.n),
        wording.value(one.carried, "rate"),
        wording.count(one.turned),
        wording.count(one.emptied),
    ]


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
