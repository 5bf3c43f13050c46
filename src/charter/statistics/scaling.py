"""Platt's scaling of probabilities: a temperature and a bias on their log-odds, fitted on what came true."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from charter.statistics.resampling import Floats, finite

#: Beyond these a fit says no more than "as good as certain" or "as good as silent".
TEMPERATURES = 0.05, 20.0
_BIASES = -20.0, 20.0
_LOG_ODDS = 30.0  # of a probability that rounding took to 0 or 1
_STEPS = 100
_CONVERGED = 1e-12
_BOTH, _SLOPE, _OFFSET = slice(0, 2), slice(0, 1), slice(1, 2)  # of what is fitted


@dataclass(frozen=True, slots=True)
class Scaling:
    """Maps a probability p to sigmoid((logit(p) - bias) / temperature).

    Attributes:
        temperature: above 1 where probabilities are surer than they should be.
        bias: in log-odds, what they lean to by themselves; for a judge, to the option that is shown first.
    """

    temperature: float = 1.0
    bias: float = 0.0

    @property
    def is_at_its_bound(self) -> bool:
        """Whether no higher temperature is fitted: probabilities were noise, or far surer than they were right."""
        return self.temperature >= TEMPERATURES[1]

    def __call__(self, p: float) -> float:
        """Scale one probability; 0 and 1 are taken for what is nearly so."""
        if self.temperature == 1.0 and self.bias == 0.0:
            return p  # to the last digit
        return (1.0 + math.tanh((log_odds(p) - self.bias) / self.temperature / 2)) / 2  # which overflows nowhere


#: Leaves every probability as it was read.
AS_READ = Scaling()


def log_odds(p: float) -> float:
    """Take log(p / (1 - p)), held to ±30, where a probability is 1e-13 away from 0 or 1.

    Raises:
        ValueError: for what is no probability.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{p} is no probability")
    if p in {0.0, 1.0}:
        return math.copysign(_LOG_ODDS, p - 0.5)
    return min(max(math.log(p) - math.log1p(-p), -_LOG_ODDS), _LOG_ODDS)


def fit_scaling(probabilities: ArrayLike, outcomes: ArrayLike, weights: ArrayLike | None = None) -> Scaling:
    """Find the temperature and bias of the greatest likelihood.

    The mean of -y log q - (1-y) log(1-q) is least, with q the scaled probability: convex in 1/temperature and
    bias/temperature, so that the optimum is one. The temperature is held to ``TEMPERATURES``: probabilities that point
    the wrong way are made nearly silent, never turned round. The bias is held to ±20, and the temperature is then the
    likeliest beside it. Sources: Platt 1999; Guo et al. 2017, arXiv 1706.04599.

    Args:
        probabilities: as they were read.
        outcomes: what came true, in [0, 1]; 0.5 for a tie.
        weights: of the rows; None weighs them alike.

    Raises:
        ValueError: for no rows, rows that are not paired, or values outside [0, 1].
    """
    sure, true = finite(probabilities, "probabilities"), finite(outcomes, "outcomes")
    heavy = np.ones_like(sure) if weights is None else finite(weights, "weights")
    if not sure.shape == true.shape == heavy.shape:
        raise ValueError(f"{len(sure)} probabilities, {len(true)} outcomes and {len(heavy)} weights: expected as many")
    if true.min() < 0 or true.max() > 1 or heavy.min() < 0 or not heavy.sum():
        raise ValueError("an outcome lies outside [0, 1], or no weight is positive")
    odds = np.array([log_odds(float(p)) for p in sure])
    heavy = heavy / heavy.sum()
    slowest, fastest = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
    slope, offset = _fit(odds, true, heavy, _BOTH)
    if not slowest <= slope <= fastest:
        slope = min(max(slope, slowest), fastest)
        _, offset = _fit(odds, true, heavy, _OFFSET, slope=slope)
    bias = -offset / slope
    if not _BIASES[0] <= bias <= _BIASES[1]:
        bias = min(max(bias, _BIASES[0]), _BIASES[1])
        slope, _ = _fit(odds - bias, true, heavy, _SLOPE, slope=slope)
        slope = min(max(slope, slowest), fastest)
    return Scaling(temperature=1 / slope, bias=bias)


def _fit(odds: Floats, true: Floats, heavy: Floats, moved: slice, *, slope: float = 1.0) -> tuple[float, float]:
    """Take Newton's steps, halved where they lead upwards, over slope and offset or over one of them."""
    at = np.array([slope, 0.0])
    design = np.stack([odds, np.ones_like(odds)])
    loss = _loss(at, design, true, heavy)
    for _ in range(_STEPS):
        q = (1 + np.tanh(at @ design / 2)) / 2
        gradient = (design * heavy) @ (q - true)
        curvature = (design * (heavy * q * (1 - q))) @ design.T + 1e-12 * np.eye(2)
        step = np.zeros(2)
        step[moved] = np.linalg.solve(curvature[moved, moved], gradient[moved])
        size = 1.0
        while (found := _loss(at - size * step, design, true, heavy)) > loss and size > _CONVERGED:
            size /= 2
        if loss - found <= _CONVERGED or not np.isfinite(found):
            break
        at, loss = np.clip(at - size * step, -1e3, 1e3), found
    return float(at[0]), float(at[1])


def _loss(at: Floats, design: Floats, true: Floats, heavy: Floats) -> float:
    scores = at @ design
    return float(heavy @ (np.logaddexp(0.0, scores) - true * scores))
