"""Length control: held to another fit, and to effects that were planted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from charter.evaluation.head_to_head import length_controlled_rate
from charter.evaluation.head_to_head.games import Game
from charter.evaluation.head_to_head.length_control import fit


def _games(n: int, strength: float, effect: float, seed: int, *, mean_longer: float = 0.0) -> list[Game]:
    """Draw games whose log-odds are a strength and an effect of length, with answers longer by so much on average."""
    rng = np.random.default_rng(seed)
    longer = np.round(mean_longer + 100 * rng.standard_normal(n)).astype(int)
    p = 1 / (1 + np.exp(-(strength + effect * np.tanh(longer / longer.std()))))
    wins = rng.random(n) < p
    return [
        Game("m", "a", float(win), int(more), f"p{place}")
        for place, (win, more) in enumerate(zip(wins, longer, strict=True))
    ]


def _columns(games: list[Game]) -> tuple[np.ndarray, np.ndarray]:
    longer = np.array([game.n_longer for game in games], dtype=float)
    return np.stack([np.ones(len(games)), np.tanh(longer / longer.std())], axis=1), np.array(
        [game.win for game in games]
    )


@pytest.mark.parametrize("n", [8, 60])
@pytest.mark.parametrize("seed", range(3))
def test_the_fit_is_that_of_a_general_optimiser(n: int, seed: int) -> None:
    """The coefficients are where the likelihood times Jeffreys' prior is greatest, with ties and weights."""
    features, win = _columns(_games(n, 0.4, 1.0, seed))
    win[::5] = 0.5
    weights = np.random.default_rng(seed).integers(1, 4, n).astype(float)

    def loss(beta: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-features @ beta))
        information = (features * (weights * p * (1 - p))[:, None]).T @ features
        likelihood = weights @ (win * np.log(p) + (1 - win) * np.log(1 - p))
        return -float(likelihood + np.linalg.slogdet(information)[1] / 2)

    expected = minimize(
        loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000}
    )
    assert fit(features, win, weights[None])[0] == pytest.approx(expected.x, abs=1e-4)


def test_a_planted_effect_of_length_is_taken_out() -> None:
    """Two equal models of which one answers at length: its rate is far above one half, at equal length it is not."""
    games = _games(4000, 0.0, 1.5, 1, mean_longer=120)
    assert np.mean([game.win for game in games]) > 0.7
    found = length_controlled_rate(games, n_resamples=200)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.5 < found.high
    assert found.high - found.low < 0.1


def test_a_better_model_stays_better() -> None:
    """Where length does nothing, the rate at equal length is the rate."""
    found = length_controlled_rate(_games(4000, 0.8, 0.0, 2, mean_longer=50), n_resamples=100)
    assert found is not None
    assert found.value == pytest.approx(1 / (1 + np.exp(-0.8)), abs=0.03)


def test_seen_from_the_other_side_the_rate_is_the_rest() -> None:
    """Both sides' rates add up to one."""
    games = _games(50, 0.5, 0.7, 3)
    one, other = (
        length_controlled_rate(some, n_resamples=50) for some in (games, [game.seen_from("a") for game in games])
    )
    assert one is not None
    assert other is not None
    assert one.value + other.value == pytest.approx(1.0)


@pytest.mark.parametrize("win", [1.0, None])
def test_separated_games_have_a_finite_fit(win: float | None) -> None:
    """Who always wins is below 1; and where the longer answer always wins, nothing is claimed of the model."""
    games = [
        Game("m", "a", float(more > 0) if win is None else win, more, f"p{more}")
        for more in (-30, -20, -10, 10, 20, 30)
    ]
    found = length_controlled_rate(games, n_resamples=100)
    assert found is not None
    assert 0.5 < found.value < 1.0 if win else found.value == pytest.approx(0.5)


def test_lengths_that_are_all_alike_tell_nothing() -> None:
    """Where each answer is longer by the same, the model cannot be told from its length."""
    assert length_controlled_rate([Game("m", "a", 1.0, 7, f"p{number}") for number in range(9)]) is None
    assert length_controlled_rate([]) is None
