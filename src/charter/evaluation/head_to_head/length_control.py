"""Length control: how often a model would win if its answers were as long as those it meets. Pure, and seeded.

Judges like long answers. As in length-controlled AlpacaEval (Dubois et al. 2024, arXiv 2404.04475) the outcomes of one
model's games with another are fitted by

    P(win) = 1 / (1 + exp(-(t + f * tanh(d / s))))

where d is by how many characters the model's answer is the longer and s the standard deviation of d. The rate at equal
length is the fit's at d = 0, that is ``1 / (1 + exp(-t))``. Their third term, how hard each prompt is, is left out: it
has to be fitted to many models at once. Ties count as half a win and half a loss.

Where a model always wins, or the longer answer always does, the likelihood has no maximum; the fit is therefore of the
likelihood times Jeffreys' prior, ``|I|^(1/2)`` (Firth 1993, Biometrika 80; Heinze and Schemper 2002, Stat. Med. 21),
which is always finite and less biased in few rows. A model that won 10 of 10 games has 95 %, and not 100 %.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charter.evaluation.head_to_head.games import Game, draw_groups
from charter.statistics import Interval
from charter.statistics.resampling import BLOCK, Floats, bootstrap_bounds, group_codes, n_groups_of

N_RESAMPLES = 1000
_MOST_STEPS, _LONGEST_STEP, _TOLERANCE = 200, 1.0, 1e-9
_NO_SPREAD = 1e-12  # of the information's determinant: the lengths of a resample tell nothing
_CONFIDENCE = 0.95


def length_controlled_rate(games: Sequence[Game], *, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Interval | None:
    """Say how often the model of these games would win at equal length, with a 95 % interval over groups of prompts.

    Args:
        games: of one model, all seen from it, with one other.
        n_resamples: how many resamples are drawn.
        seed: of the draws.

    Returns:
        The rate; None where all answers are longer by the same, so that length and model cannot be told apart.
    """
    longer = np.array([game.n_longer for game in games], dtype=np.float64)
    if len(games) < 2 or float(longer.std()) == 0.0:
        return None
    features = np.stack([np.ones(len(games)), np.tanh(longer / longer.std())], axis=1)
    win = np.array([game.win for game in games])
    codes = group_codes(len(games), [game.group for game in games])
    n_groups = int(codes.max()) + 1
    value = float(_rates(fit(features, win, np.ones((1, len(games)))))[0])
    counts = draw_groups(n_groups, n_resamples, seed)
    step = max(1, BLOCK // len(games))
    drawn = np.concatenate(
        [_rates(fit(features, win, counts[at : at + step][:, codes])) for at in range(0, n_resamples, step)]
    )
    told = drawn[np.isfinite(drawn)]
    low, high = bootstrap_bounds(value, told, n_groups, _CONFIDENCE, (0.0, 1.0)) if len(told) else (None, None)
    return Interval(value, low, high, len(games), n_groups_of(len(games), n_groups))


def fit(features: Floats, win: Floats, weights: Floats) -> Floats:
    """Fit logistic regressions under Jeffreys' prior by Newton's steps, one for each row of weights.

    Args:
        features: (games, 2), of which the first is 1.
        win: (games,), from 0 to 1.
        weights: (fits, games), how often each game counts.

    Returns:
        The coefficients, (fits, 2); NaN for a fit whose features do not vary.
    """
    found = np.zeros((len(weights), features.shape[1]))
    for _ in range(_MOST_STEPS):
        p = 1.0 / (1.0 + np.exp(-found @ features.T))
        spread = weights * p * (1.0 - p)
        inverse = _inverse(np.einsum("fg,gi,gj->fij", spread, features, features))
        leverage = spread * np.einsum("gi,fij,gj->fg", features, inverse, features)
        score = (weights * (win - p) + leverage * (0.5 - p)) @ features
        step = np.einsum("fij,fj->fi", inverse, score)
        # A full step may overshoot where the outcomes are nearly separated by length.
        found += step * np.minimum(1.0, _LONGEST_STEP / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-300))
        if float(np.nan_to_num(np.abs(step)).max()) < _TOLERANCE:
            break
    return found


def _inverse(information: Floats) -> Floats:
    """Invert matrices of 2 by 2; NaN for those that cannot be."""
    a, b, d = information[:, 0, 0], information[:, 0, 1], information[:, 1, 1]
    determinant = a * d - b * b
    whole = np.where(determinant > _NO_SPREAD * np.maximum(a * d, _NO_SPREAD), determinant, np.nan)
    turned = np.array([[d, -b], [-b, a]]) / whole
    inverse: Floats = np.moveaxis(turned, -1, 0)
    return inverse


def _rates(coefficients: Floats) -> Floats:
    rates: Floats = 1.0 / (1.0 + np.exp(-coefficients[:, 0]))
    return rates
