"""Claims of the paper: what shows, what does not, and what is left open."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from charter.reproduction.claims import Expected, at, claim_change, claim_slope, unmeasured, verdict
from charter.reproduction.figure import Value
from charter.statistics import paired_mean_difference


def line(means: dict[float, float], n: int = 40, spread: float = 0.1, seed: int = 0) -> list[Value]:
    """A line whose rows scatter around means at its places, each row a group of its own."""
    rng = np.random.default_rng(seed)
    return [
        Value(panel="p", series="s", x=x, row=str(row), group=str(row), value=mean + float(rng.normal(0, spread)))
        for x, mean in means.items()
        for row in range(n)
    ]


@pytest.mark.parametrize(
    ("low", "high", "expected", "shows"),
    [
        (0.1, 0.3, "higher", "yes"),
        (-0.3, -0.1, "higher", "no"),
        (-0.1, 0.3, "higher", "undecided"),
        (-0.3, -0.1, "lower", "yes"),
        (0.1, 0.3, "lower", "no"),
        (-0.1, 0.1, "alike", "yes"),
        (-0.3, 0.1, "alike", "undecided"),
        (0.3, 0.4, "alike", "no"),
        (None, None, "higher", "undecided"),
    ],
)
def test_what_an_interval_shows(low: float | None, high: float | None, expected: Expected, shows: str) -> None:
    """On the paper's side it shows, on the other it does not, across it is open; alike is within a margin."""
    assert verdict(low, high, expected, 0.2) == shows


@given(low=st.floats(-1, 1), width=st.floats(0, 1))
def test_higher_is_the_mirror_of_lower(low: float, width: float) -> None:
    """The mirrored interval shows the mirrored claim."""
    assert verdict(low, low + width, "higher") == verdict(-low - width, -low, "lower")


def test_a_rise_shows_and_a_fall_does_not() -> None:
    """The same values, held against a rise and a fall."""
    values = line({0: 0.2, 1: 0.6})
    before, after = at(values, "p", "s", 0), at(values, "p", "s", 1)
    rise, fall = (claim_change("c", before, after, expected) for expected in ("higher", "lower"))
    assert (rise.shows, fall.shows) == ("yes", "no")
    assert rise.difference == pytest.approx(0.4, abs=0.1)
    assert rise.n == 40


def test_few_rows_leave_it_open() -> None:
    """Three rows that all rise cannot be told from chance, whatever an interval says."""
    values = [
        Value(panel="p", series="s", x=x, row=str(row), group=str(row), value=float(x))
        for x in (0, 1)
        for row in range(3)
    ]
    found = claim_change("c", at(values, "p", "s", 0), at(values, "p", "s", 1), "higher")
    assert found.shows == "undecided"
    assert found.p_value is not None
    assert found.p_value >= 0.05


def test_a_row_is_paired_with_itself() -> None:
    """Rows that one place alone has are in no difference, and groups are taken whole."""
    values = line({0: 0.2, 1: 0.6}, n=10)
    before, after = at(values, "p", "s", 0), at(values, "p", "s", 1)
    del after["3"]
    expected = paired_mean_difference(
        [before[row].value for row in after], [one.value for one in after.values()], groups=list(after)
    )
    found = claim_change("c", before, after, "higher")
    assert (found.difference, found.low, found.n) == (expected.difference, expected.low, 9)


def test_a_slope_is_the_mean_of_the_rows_own() -> None:
    """Each row's slope is that of scipy's regression; rows that lack a place are left out."""
    values = line({0: 0.0, 1: 0.3, 2: 0.4, 4: 1.0}, n=20)
    whole = [one for one in values if (one.row, one.x) != ("7", 2)]
    slopes = [
        stats.linregress([0, 1, 2, 4], [one.value for one in values if one.row == str(row)]).slope
        for row in range(20)
        if row != 7
    ]
    found = claim_slope("c", whole, "higher", per="round")
    assert found.difference == pytest.approx(np.mean(slopes))
    assert (found.n, found.shows) == (19, "yes")
    assert "per round" in found.told


def test_shares_are_told_in_points() -> None:
    """A change of shares is told in hundredths, and so is its margin; what is no share is told as it is."""
    values = line({0: 0.2, 1: 0.6}, spread=0.0)
    before, after = at(values, "p", "s", 0), at(values, "p", "s", 1)
    assert claim_change("c", before, after, "higher").told.startswith("+40 points (")
    assert claim_change("c", before, after, "higher", is_share=False).told.startswith("+0.4 (")
    assert claim_slope("c", values, "higher", per="step").told.startswith("+40 points per step (")
    assert claim_slope("c", values, "higher", per="step", is_share=False).told.startswith("+0.4 per step (")


def test_what_is_alike_stands_by_its_interval() -> None:
    """It has no p-value, which would tell of a difference."""
    values = line({0: 0.2, 1: 0.2})
    found = claim_change("c", at(values, "p", "s", 0), at(values, "p", "s", 1), "alike", margin=0.1)
    assert (found.shows, found.p_value) == ("yes", None)
    assert found.told.endswith("n 40; alike is within 10 points")


def test_without_rows_nothing_is_claimed() -> None:
    """No row in common, a line of one place, nothing at all: undecided, and why."""
    values = line({0: 0.2})
    assert claim_change("c", at(values, "p", "s", 0), {}, "higher").told == "no row has both values"
    assert claim_slope("c", values, "higher", per="round").shows == "undecided"
    assert unmeasured("c", "why").told == "why"
