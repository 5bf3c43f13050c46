"""The section on revisions: how often a critique changed the response, by round and principle, and to what end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from charter.reporting import wording
from charter.reporting.layout import Column, rate, section, table
from charter.reporting.markup import Markup, element
from charter.reporting.reading import RunData
from charter.reporting.revision_quality import (
    Revised,
    RevisionQuality,
    all_rounds,
    by_principle,
    by_principle_and_round,
    by_round,
)

_TITLE = "Revisions"
_LEAD = (
    "Of every round of critique and revision: how often the revision is another text than what it replaced, and, of "
    "those that are, how many of the words are other ones (0 %: the same words; 100 %: none in common), with 95 % "
    "intervals over prompts. A principle whose critique changes nothing asks for nothing that these responses lack."
)
_CHECKED = (
    " Confirmed: how often the judge finds the revision better than what it replaced, by the round's principle; ties "
    "are not, and revisions that changed nothing are not asked about."
)


def revisions(data: RunData) -> Markup:
    """Write what rounds did, by round, by principle, and by both."""
    rounds = all_rounds(data.traces)
    if not rounds:
        part = "data/traces.parquet"
        why = "No trace has a round." if data.traces else data.why_missing(part)
        return section("revisions", _TITLE, element("p", why, class_="missing"))
    is_checked = any(one.round.verdicts for one in rounds)
    return section(
        "revisions",
        _TITLE,
        element("p", _LEAD + (_CHECKED if is_checked else ""), class_="lead"),
        _table("Round", {str(number): found for number, found in by_round(rounds).items()}, is_checked=is_checked),
        _table("Principle", by_principle(rounds), is_checked=is_checked, is_code=True),
        _each(rounds, is_checked=is_checked),
    )


def _each(rounds: Sequence[Revised], *, is_checked: bool) -> Markup | None:
    """Write each principle in each round, where there are several of both."""
    found = by_principle_and_round(rounds)
    if len({number for _, number in found}) < 2:
        return None
    rows = {f"{principle}, round {number}": one for (principle, number), one in found.items()}
    summary = element("summary", "Each principle in each round")
    return element("details", summary, _table("Principle and round", rows, is_checked=is_checked))


def _table(what: str, found: Mapping[str, RevisionQuality], *, is_checked: bool, is_code: bool = False) -> Markup:
    names = ("Revisions", "Changed", "Words changed", *(("Confirmed", "Mean p", "Invalid") if is_checked else ()))
    rows = [[element("code", name) if is_code else name, *(_cells(one)[: len(names)])] for name, one in found.items()]
    return table([Column(what), *(Column(name, numeric=True) for name in names)], rows)


def _cells(one: RevisionQuality) -> list[object]:
    return [
        wording.count(one.n),
        rate(one.changed),
        "none changed" if one.words is None else wording.value(one.words, "rate"),
        "not asked" if not one.n_checked else rate(one.confirmed) if one.confirmed else "none readable",
        "none" if one.p_better is None else f"{one.p_better:.2f}",
        f"{wording.count(one.n_invalid)} of {wording.count(one.n_checked)}",
    ]
