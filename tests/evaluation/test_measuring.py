from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.evaluation.measuring import Unit, measure
from charter.statistics import (
    mean_interval,
    paired_mean_difference,
    paired_rate_difference,
    rate_interval,
    wilson_interval,
)

RNG = np.random.default_rng(0)
BASE_RATES = {f"row-{n}": float(RNG.random() < 0.6) for n in range(80)}
OWN_RATES = {row: float(RNG.random() < 0.3) for row in BASE_RATES}
BASE_LOSS = {f"row-{n}": float(RNG.normal(2.0, 0.5)) for n in range(40)}
OWN_LOSS = {row: value + float(RNG.normal(0.1, 0.1)) for row, value in BASE_LOSS.items()}


def test_a_rate_is_measured_with_its_interval() -> None:
    """Every model gets its rate, n and 95 % interval, as the statistics give them."""
    found = measure(
        "objection", {"base": BASE_RATES, "sft": OWN_RATES}, subset="red_team", base="base", better="higher"
    )
    assert [one.model for one in found] == ["base", "sft"]
    for one, values in zip(found, (BASE_RATES, OWN_RATES), strict=True):
        expected = wilson_interval(int(sum(values.values())), len(values))
        assert (one.value, one.low, one.high, one.n) == (expected.value, expected.low, expected.high, 80)
        assert (one.name, one.subset, one.unit, one.better) == ("objection", "red_team", "rate", "higher")


def test_a_mean_is_measured_with_its_interval() -> None:
    """What is no rate is averaged, with a bootstrap interval."""
    found = measure("loss", {"sft": OWN_LOSS}, subset="helpful", unit="nats", rows="data/x.parquet")[0]
    expected = mean_interval(list(OWN_LOSS.values()))
    assert (found.value, found.low, found.high) == (expected.value, expected.low, expected.high)
    assert (found.unit, found.rows) == ("nats", "data/x.parquet")


@pytest.mark.parametrize(("unit", "is_bounded"), [("tokens", True), ("nats", True), ("score", False)])
def test_no_interval_of_a_length_or_a_loss_reaches_below_zero(unit: Unit, is_bounded: bool) -> None:
    """One long answer among few empty ones: the stretched bootstrap would reach below what any length can be."""
    lengths = {f"row-{n}": 90.0 if n == 0 else 0.1 * n for n in range(5)}
    (found,) = measure("response_length", {"base": lengths}, subset="all", unit=unit)
    assert found.low is not None
    assert (found.low == 0.0) is is_bounded
    assert found.low <= 0.0


def test_no_interval_of_a_bounded_score_leaves_its_scale() -> None:
    """A mean near the end of a scale is bounded by it; a score without a scale is not."""
    values = {"m": {str(n): 0.0 if n < 5 else 0.3 for n in range(7)}}
    (bounded,) = measure("harm_score", values, subset="replies", unit="score", limits=(0, 4))
    (free,) = measure("harm_score", values, subset="replies", unit="score")
    assert free.low is not None
    assert bounded.low == 0 > free.low
    assert bounded.high == free.high


def test_differences_are_those_of_the_statistics() -> None:
    """The paired difference from the base is what the statistics give for the rows both have, in the same order."""
    found = measure("x", {"base": BASE_RATES, "sft": OWN_RATES}, subset="all", base="base")[1]
    expected = paired_rate_difference(list(BASE_RATES.values()), [OWN_RATES[row] for row in BASE_RATES])
    assert found.base == "base"
    assert found.difference == expected.difference == pytest.approx(found.value - np.mean(list(BASE_RATES.values())))
    assert (found.difference_low, found.difference_high) == (expected.low, expected.high)
    assert found.p_value == expected.p_value
    assert found.method == "paired on 80 rows; exact McNemar"
    found = measure("x", {"base": BASE_LOSS, "sft": OWN_LOSS}, subset="all", base="base", unit="nats")[1]
    means = paired_mean_difference(list(BASE_LOSS.values()), [OWN_LOSS[row] for row in BASE_LOSS])
    assert (found.difference, found.p_value) == (means.difference, means.p_value)


@settings(max_examples=25)
@given(
    own=st.dictionaries(st.integers(0, 12), st.floats(-10, 10), min_size=1),
    base=st.dictionaries(st.integers(0, 12), st.floats(-10, 10), min_size=1),
)
def test_only_shared_rows_are_compared(own: dict[int, float], base: dict[int, float]) -> None:
    """Rows that one model lacks are in its own mean, and in no difference."""
    values = {name: {str(row): value for row, value in rows.items()} for name, rows in (("base", base), ("own", own))}
    found = {one.model: one for one in measure("x", values, subset="all", base="base", unit="score")}["own"]
    assert found.value == pytest.approx(np.mean(list(own.values())))
    shared = own.keys() & base.keys()
    if shared:
        assert found.difference == pytest.approx(np.mean([own[row] - base[row] for row in shared]))
        assert found.method.startswith(f"paired on {len(shared)} rows;")
    else:
        assert found.difference is found.base is found.p_value is None


def test_the_base_is_compared_with_nobody() -> None:
    """The base has no difference from itself; without a base nobody has one."""
    values = {"base": BASE_RATES, "sft": OWN_RATES}
    assert measure("x", values, subset="all", base="base")[0].difference is None
    assert all(one.difference is None for one in measure("x", values, subset="all"))


def test_ties_count_a_half() -> None:
    """A rate with ties is bounded as the statistics bound it, with its test against one half where that is asked."""
    values = {"a": 1.0, "b": 0.5, "c": 0.0, "d": 0.5, "e": 1.0}
    found = measure("win_rate", {"sft": values}, subset="all", against_even=True)[0]
    expected = rate_interval(list(values.values()))
    assert (found.value, found.low, found.high) == (0.6, expected.low, expected.high)
    assert (found.p_value, found.method) == (1.0, "3 decided rows against one half; exact sign test")
    assert measure("win_rate", {"sft": values}, subset="all")[0].p_value is None


def test_groups_are_counted() -> None:
    """Rows that hang together are told as groups, in the figure and in its test; rows alone are not."""
    groups = {row: f"group-{number // 4}" for number, row in enumerate(BASE_LOSS)}
    values = {"base": BASE_LOSS, "sft": OWN_LOSS}
    found = measure("x", values, subset="all", base="base", unit="nats", groups=groups)[1]
    assert (found.n, found.n_groups) == (40, 10)
    assert found.method.startswith("paired on 40 rows in 10 groups; ")
    alone = measure("x", values, subset="all", base="base", unit="nats", groups={row: row for row in groups})[1]
    assert alone.n_groups is None
    assert alone.method.startswith("paired on 40 rows; ")


def test_too_few_rows_have_a_figure_and_no_interval() -> None:
    """Four losses have a mean, a difference and a p-value, and nothing that bounds them."""
    values = {name: dict(list(rows.items())[:4]) for name, rows in (("base", BASE_LOSS), ("sft", OWN_LOSS))}
    found = measure("x", values, subset="all", base="base", unit="nats")[1]
    assert (found.low, found.high, found.difference_low, found.difference_high) == (None, None, None, None)
    assert found.difference is not None
    assert found.p_value >= 0.125


def test_a_model_without_rows_has_no_measurement() -> None:
    """Nothing measured is no figure, not a zero."""
    found = measure("x", {"base": {}, "sft": OWN_RATES}, subset="all", base="base")
    assert [one.model for one in found] == ["sft"]
    assert found[0].difference is None
