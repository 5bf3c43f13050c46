"""Score intervals: the values that a score test of the rows does not refuse."""

from __future__ import annotations

import math

from charter.statistics.resampling import normal_quantile

_HALVINGS = 60  # of an interval of length 2: down to the last digit of a float


def wilson_bounds(rate: float, n: float, confidence: float) -> tuple[float, float]:
    """Bound a rate of so many independent rows (see ``intervals.wilson_interval``)."""
    z = normal_quantile(confidence)
    centre = rate + z * z / (2 * n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At 0 and at n one end equals the rate exactly; rounding must not push it past.
    return (centre - half) / scale if rate > 0 else 0.0, (centre + half) / scale if rate < 1 else 1.0


def tango_bounds(worse: float, better: float, n: float, confidence: float) -> tuple[float, float]:
    """Bound a difference of paired rates by the differences that a score test of these rows does not refuse.

    Args:
        worse: the share of rows that went from 1 to 0.
        better: the share that went from 0 to 1.
        n: how many rows there are, or as how many they count.
        confidence: of the interval.
    """
    found, z = better - worse, normal_quantile(confidence)

    def end(limit: float) -> float:
        inside, outside = found, limit
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            refused = (found - middle) ** 2 * n > z * z * _variance(worse, better, middle)
            inside, outside = (inside, middle) if refused else (middle, outside)
        return inside

    return end(-1.0), end(1.0)


def _variance(worse: float, better: float, difference: float) -> float:
    """Estimate a row's variance if this were the true difference: the rest of the table by maximum likelihood."""
    b = (2 + worse - better) * difference - worse - better  # q = P(worse) solves 2 q² + b q = worse d (1 - d)
    root = math.sqrt(max(0.0, b * b + 8 * worse * difference * (1 - difference)))
    return (root - b) / 2 + difference * (1 - difference)
