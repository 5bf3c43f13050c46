"""What figures rest on without saying it: defaults, names in errors, and draws that are the same ones every time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from charter.statistics import (
    even_test,
    expected_calibration_error,
    fit_chosen,
    fit_ridge,
    grouped_folds,
    held_out_predictions,
    holm,
    mean_interval,
    paired_mean_difference,
    rate_interval,
    reliability_bins,
)
from charter.statistics.agreement import error_of_true_probabilities, rank_correlation
from charter.statistics.ridge import STRENGTHS

RNG = np.random.default_rng(11)
GROUPS = sorted(RNG.integers(0, 24, size=60).tolist())
NUMBERS = list(RNG.normal(size=60))
SHARES = list(RNG.choice([0.0, 0.5, 1.0], size=60, p=[0.3, 0.2, 0.5]))
SURE = list(RNG.uniform(size=200))
TABLE = RNG.normal(size=(60, 4))
Drawn = Callable[..., Any]


def _arrays(found: Any) -> Any:
    """Turn what may hold arrays into what can be compared."""
    return found.tolist() if isinstance(found, np.ndarray) else found


@pytest.mark.parametrize(
    "drawn",
    [
        lambda **more: mean_interval(NUMBERS, groups=GROUPS, **more),
        lambda **more: paired_mean_difference(NUMBERS, NUMBERS[::-1], groups=GROUPS, **more),
        lambda **more: even_test(SHARES, groups=GROUPS, **more),
        lambda **more: error_of_true_probabilities(SURE, **more),
        lambda **more: grouped_folds(GROUPS, **more),
        lambda **more: held_out_predictions(TABLE, NUMBERS, GROUPS, **more),
    ],
    ids=["mean", "difference", "even", "calibration", "folds", "held out"],
)
def test_draws_are_those_of_seed_zero_unless_another_is_named(drawn: Drawn) -> None:
    """A figure that is made again is the same, and so is one whose seed is named; another seed draws otherwise."""
    assert _arrays(drawn()) == _arrays(drawn()) == _arrays(drawn(seed=0))
    assert _arrays(drawn(seed=1)) != _arrays(drawn(seed=0))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (mean_interval, "values"),
        (rate_interval, "outcomes"),
        (even_test, "outcomes"),
        (lambda bad: reliability_bins(bad, [0, 1]), "probabilities"),
        (lambda bad: reliability_bins([0, 1], bad), "outcomes"),
        (error_of_true_probabilities, "probabilities"),
        (lambda bad: fit_ridge(np.ones((2, 1)), bad), "targets"),
        (lambda bad: fit_chosen(np.ones((2, 1)), bad, [0, 1]), "targets"),
        (lambda bad: held_out_predictions(np.ones((2, 1)), bad, [0, 1]), "targets"),
        (lambda bad: rank_correlation(bad, [0, 1]), "first"),
        (lambda bad: rank_correlation([0, 1], bad), "second"),
    ],
)
def test_numbers_that_are_none_are_named(call: Drawn, named: str) -> None:
    """What is not finite is refused by the argument's name."""
    with pytest.raises(ValueError, match=f"^{named} "):
        call([0.0, float("nan")])


@pytest.mark.parametrize("call", [lambda: holm([0.5, 1.5]), lambda: reliability_bins([0.5, 1.5], [0, 1])])
def test_what_is_no_probability_is_refused(call: Drawn) -> None:
    """It says which it was, from its first word to its last."""
    with pytest.raises(
        ValueError,
        match=r"^(p_values holds what is no probability: expected numbers from 0 to 1"
        r"|a probability or outcome lies outside \[0, 1\])$",
    ):
        call()


@pytest.mark.parametrize("n_bins", [5, 10])
def test_bins_against_a_plain_loop(n_bins: int) -> None:
    """Each probability is in one bin, 1 in the last; the error is of ten bins where none are named."""
    true = [float(RNG.random() < one) for one in SURE]
    rows = [*zip(SURE, true, strict=True), (1.0, 0.0)]
    gaps = []
    for number in range(n_bins):
        low, high = number / n_bins, (number + 1) / n_bins
        inside = [row for row in rows if low <= row[0] < high or (number == n_bins - 1 and row[0] == 1.0)]
        gaps.append(abs(sum(one - came for one, came in inside)) / len(rows))
    named = expected_calibration_error(*zip(*rows, strict=True), n_bins=n_bins)  # type: ignore[arg-type]
    assert named == pytest.approx(sum(gaps))
    assert len(reliability_bins(*zip(*rows, strict=True), n_bins=n_bins)) == n_bins  # type: ignore[arg-type]
    if n_bins == 10:
        assert expected_calibration_error(*zip(*rows, strict=True)) == named  # type: ignore[arg-type]
        assert error_of_true_probabilities(SURE) == error_of_true_probabilities(SURE, n_bins=10, n_draws=1000)


def test_sure_and_true_have_no_error() -> None:
    """Where all that is said is 0 or 1 and comes true, no draw misses it."""
    assert error_of_true_probabilities([0.0, 1.0, 1.0]) == (0.0, 0.0)


def test_equal_numbers_share_their_ranks() -> None:
    """As scipy has it, ties and all; a row of one number goes with nothing."""
    first, second = RNG.integers(0, 6, size=40), RNG.integers(0, 6, size=40)
    assert rank_correlation(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert rank_correlation([1, 2, 3], [3, 3, 3]) == 0.0
    with pytest.raises(ValueError, match=r"^3 and 2 numbers: expected as many$"):
        rank_correlation([1, 2, 3], [1, 2])


def test_a_strength_is_chosen_by_groups_that_are_left_out() -> None:
    """The error is that of the left-out fold, from lines of the others: a plain loop over strengths and folds."""
    folds = grouped_folds(GROUPS, seed=3)
    wanted = np.asarray(TABLE @ [1.0, -2.0, 0.5, 0.0] + RNG.normal(size=60) * 4)

    def error(strength: float) -> float:
        missed = 0.0
        for fold in range(5):
            seen = folds != fold
            (line,) = fit_ridge(TABLE[seen], wanted[seen], [strength])
            missed += float(((line.predict(TABLE[~seen]) - wanted[~seen]) ** 2).sum())
        return missed

    chosen = fit_chosen(TABLE, wanted, GROUPS, seed=3)
    assert chosen.strength == min(STRENGTHS, key=error)
