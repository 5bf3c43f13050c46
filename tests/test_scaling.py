from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from charter.statistics.scaling import TEMPERATURES, Scaling, fit_scaling, log_odds

probabilities = st.floats(0.0, 1.0)
scalings = st.builds(Scaling, st.floats(*TEMPERATURES), st.floats(-20, 20))


def sampled(scaling: Scaling, n: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities, and outcomes that come true as often as the scaled ones say."""
    rng = np.random.default_rng(seed)
    read = 1 / (1 + np.exp(-rng.normal(0, 3, n)))
    return read, (rng.random(n) < [scaling(float(p)) for p in read]).astype(np.float64)


def cross_entropy(scaling: Scaling, read: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    """The mean negative log-likelihood, written out."""
    scaled = np.array([scaling(float(p)) for p in read])
    return float(-np.mean(true * np.log(scaled) + (1 - true) * np.log1p(-scaled)))


@pytest.mark.parametrize("wanted", [Scaling(), Scaling(2.5, 0.8), Scaling(0.5, -1.2)])
def test_what_made_the_outcomes_is_found_again(wanted: Scaling) -> None:
    """From 20,000 rows, to a tenth."""
    found = fit_scaling(*sampled(wanted, 20_000, seed=1))
    assert found.temperature == pytest.approx(wanted.temperature, rel=0.1)
    assert found.bias == pytest.approx(wanted.bias, abs=0.12)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_optimiser_finds_less(seed: int) -> None:
    """Scipy's simplex over the temperature and the bias themselves comes to the same loss, from another start."""
    read, true = sampled(Scaling(1.7, -0.6), 200, seed)
    found = fit_scaling(read, true)
    least = minimize(
        lambda at: cross_entropy(Scaling(math.exp(at[0]), at[1]), read, true),
        x0=[0.3, 0.3],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000},
    )
    assert cross_entropy(found, read, true) == pytest.approx(least.fun, abs=1e-9)
    assert [math.log(found.temperature), found.bias] == pytest.approx(least.x.tolist(), abs=1e-4)


@pytest.mark.parametrize("seed", range(12))
def test_no_scaling_within_the_bounds_is_likelier(seed: int) -> None:
    """Of a few rows that are as sure as can be the likeliest bias lies far off: the temperature fits the one it has."""
    rng = np.random.default_rng(seed)
    odds = np.clip(rng.normal(rng.normal(0, 30), 40, 12), -30, 30)
    read, true = 1 / (1 + np.exp(-odds)), (rng.random(12) < 1 / (1 + np.exp(-(odds - rng.normal(0, 30)) / 9))) * 1.0
    odds = np.array([log_odds(float(p)) for p in read])

    def loss(scaling: Scaling) -> float:
        scores = (odds - scaling.bias) / scaling.temperature
        return float(np.mean(np.logaddexp(0.0, scores) - true * scores))

    found = fit_scaling(read, true)
    others = [Scaling(float(t), float(b)) for t in np.geomspace(*TEMPERATURES, 60) for b in np.linspace(-20, 20, 81)]
    assert TEMPERATURES[0] <= found.temperature <= TEMPERATURES[1]
    assert -20 <= found.bias <= 20
    assert loss(found) <= min(map(loss, others)) + 1e-6


def test_a_bias_alone_is_the_log_odds_of_the_rate() -> None:
    """Of rows that all say a half, whatever the temperature: 30 of 40 came true."""
    found = fit_scaling([0.5] * 40, [1.0] * 30 + [0.0] * 10)
    assert found(0.5) == pytest.approx(0.75, abs=1e-6)


def test_what_points_the_wrong_way_is_silenced() -> None:
    """It is not turned round, as a judge would be that follows no reason."""
    found = fit_scaling([0.9] * 50 + [0.1] * 50, [0.0] * 50 + [1.0] * 50)
    assert found.temperature == TEMPERATURES[1]
    assert 0.5 <= found(0.9) < 0.53


def test_rows_that_a_line_parts_have_a_bounded_fit() -> None:
    """The likelihood has no greatest value there; a temperature above nought is given."""
    found = fit_scaling([0.6, 0.7, 0.3, 0.4], [1.0, 1.0, 0.0, 0.0])
    assert found.temperature == TEMPERATURES[0]
    assert found(0.6) > 0.99


def test_a_weight_is_a_row_that_comes_again() -> None:
    """Weights of 1, 2 and 3 are rows that are there once, twice and three times."""
    read, true = [0.2, 0.6, 0.9, 0.4], [0.0, 1.0, 0.0, 1.0]
    weighted = fit_scaling(read, true, [1, 2, 3, 1])
    repeated = fit_scaling([0.2, 0.6, 0.6, 0.9, 0.9, 0.9, 0.4], [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    assert (weighted.temperature, weighted.bias) == pytest.approx((repeated.temperature, repeated.bias), rel=1e-6)


@given(scalings, probabilities, probabilities)
def test_order_is_kept(scaling: Scaling, first: float, second: float) -> None:
    """What was surer stays as sure, and every result is a probability."""
    low, high = sorted((first, second))
    assert 0.0 <= scaling(low) <= scaling(high) <= 1.0


@given(scalings, probabilities)
def test_an_opposite_bias_scales_the_opposite(scaling: Scaling, p: float) -> None:
    """P(not) under the mirrored bias is what is left of P, which keeps labels the same when a pair is swapped."""
    mirrored = Scaling(scaling.temperature, -scaling.bias)
    assert scaling(p) + mirrored(1.0 - p) == pytest.approx(1.0, abs=1e-6)


@given(st.floats(1e-9, 1 - 1e-9))
def test_nothing_is_scaled_by_nothing(p: float) -> None:
    """A temperature of 1 without bias leaves a probability as it is."""
    assert Scaling()(p) == pytest.approx(p, abs=1e-12)


def test_log_odds_have_an_end() -> None:
    """Certainty is held, and what is no probability is refused."""
    assert (log_odds(0.0), log_odds(1.0), log_odds(0.5)) == (-30.0, 30.0, 0.0)
    with pytest.raises(ValueError, match="no probability"):
        log_odds(1.01)


@pytest.mark.parametrize(
    ("read", "true", "weights", "message"),
    [
        ([0.5], [0.0, 1.0], None, "1 probabilities, 2 outcomes"),
        ([1.5], [1.0], None, "no probability"),
        ([0.5], [2.0], None, "outside"),
        ([0.5], [1.0], [0.0], "no weight"),
        ([], [], None, "at least one"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    read: list[float], true: list[float], weights: list[float] | None, message: str
) -> None:
    """With what is wrong."""
    with pytest.raises(ValueError, match=message):
        fit_scaling(read, true, weights)
