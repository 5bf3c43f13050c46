"""Claims of the paper held against values: paired by row, and undecided where the interval leaves it open. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from charter.reproduction.figure import Claim, Shows, Value
from charter.statistics import PairedDifference, paired_mean_difference, paired_rate_difference

Direction = Literal["higher", "lower"]
SIGNIFICANT = 0.05
Expected = Direction | Literal["alike"]


def at(values: Sequence[Value], panel: str, series: str, x: float | None = None) -> dict[str, Value]:
    """Give the values of a line, or of one place on it, by row."""
    return {one.row: one for one in values if (one.panel, one.series) == (panel, series) and (x is None or one.x == x)}


def claim_change(
    statement: str,
    before: Mapping[str, Value],
    after: Mapping[str, Value],
    expected: Expected,
    *,
    is_share: bool = True,
    margin: float = 0.0,
    seed: int = 0,
) -> Claim:
    """Hold a change between two places, over the rows that both have, against what the paper found.

    Args:
        statement: what it found.
        before: values by row.
        after: values by row.
        expected: the direction; ``alike`` expects an interval within ``margin`` of 0.
        is_share: whether values lie between 0 and 1, such as wins: their change is told in points.
        margin: of ``alike``.
        seed: of the resamples.
    """
    rows = [row for row in before if row in after]
    if not rows:
        return unmeasured(statement, "no row has both values")
    one, other = ([values[row].value for row in rows] for values in (before, after))
    groups = [before[row].group for row in rows]
    test = paired_rate_difference if {*one, *other} <= {0.0, 1.0} else paired_mean_difference
    found = test(one, other, groups=groups, seed=seed)
    return _claim(statement, found, expected, margin=margin, is_share=is_share)


def claim_slope(
    statement: str, line: Sequence[Value], expected: Direction, *, per: str, is_share: bool = True, seed: int = 0
) -> Claim:
    """Hold the slope of a line against what the paper found: the mean over rows of each row's least-squares slope.

    Args:
        statement: what it found.
        line: values of one series; rows that lack a place are left out.
        expected: whether the line should rise or fall.
        per: what a step of x is called.
        is_share: as ``claim_change`` takes it.
        seed: of the resamples.
    """
    places = sorted({one.x for one in line})
    by_row: dict[str, dict[float, Value]] = {}
    for one in line:
        by_row.setdefault(one.row, {})[one.x] = one
    whole = [row for row in by_row.values() if len(row) == len(places)]
    if len(places) < 2 or not whole:
        return unmeasured(statement, "no row has values at two places")
    centred = np.asarray(places) - np.mean(places)
    slopes = [float(centred @ [row[x].value for x in places] / (centred @ centred)) for row in whole]
    groups = [row[places[0]].group for row in whole]
    found = paired_mean_difference([0.0] * len(slopes), slopes, groups=groups, seed=seed)
    return _claim(statement, found, expected, is_share=is_share, behind=f" per {per}")


def unmeasured(statement: str, why: str) -> Claim:
    """Give a claim that nothing here speaks to."""
    return Claim(statement=statement, shows="undecided", told=why)


def verdict(low: float | None, high: float | None, expected: Expected, margin: float = 0.0) -> Shows:
    """Say whether an interval shows what is expected, shows otherwise, or leaves it open."""
    if low is None or high is None:
        return "undecided"
    if expected == "alike":
        return "yes" if -margin <= low and high <= margin else "no" if low > margin or high < -margin else "undecided"
    if expected == "lower":
        low, high = -high, -low
    return "yes" if low > 0 else "no" if high < 0 else "undecided"


def _claim(
    statement: str,
    found: PairedDifference,
    expected: Expected,
    *,
    is_share: bool,
    margin: float = 0.0,
    behind: str = "",
) -> Claim:
    shows = verdict(found.low, found.high, expected, margin)
    if expected != "alike" and found.p_value >= SIGNIFICANT:
        shows = "undecided"  # where rows are few, the interval and the test may differ
    factor, unit = (100, " points") if is_share else (1, "")
    if found.low is None or found.high is None:
        bounds = "the rows cannot bound it"
    else:
        bounds = f"{factor * found.low:+.3g} to {factor * found.high:+.3g}"
    # What is alike stands by its interval: a large p shows nothing.
    p_value = None if expected == "alike" else found.p_value
    held_to = f"; alike is within {factor * margin:.3g}{unit}" if p_value is None else f", p {p_value:.3g}"
    told = f"{factor * found.difference:+.3g}{unit}{behind} ({bounds}), n {found.n:,}{held_to}"
    return Claim(
        statement=statement,
        shows=shows,
        told=told,
        difference=found.difference,
        low=found.low,
        high=found.high,
        p_value=p_value,
        n=found.n,
    )
