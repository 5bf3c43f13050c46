"""Confidence intervals: of a rate, a mean, or any statistic of rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from charter.statistics.resampling import (
    N_RESAMPLES,
    Groups,
    binary,
    finite,
    group_codes,
    group_totals,
    normal_quantile,
    percentiles,
    resampled_means,
)


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its confidence interval; ``n`` counts rows."""

    value: float
    low: float
    high: float
    n: int


def wilson_interval(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Bound a rate of independent rows by Wilson's score interval.

    ``(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)``: it stays inside [0, 1] and is honest at 0 of n, where the
    textbook interval has no width. Source: Wilson 1927, JASA 22(158).

    Raises:
        ValueError: unless ``0 <= successes <= n`` and ``n >= 1``.
    """
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} successes of {n} rows: expected 0 <= successes <= n and n >= 1")
    rate, z = successes / n, normal_quantile(confidence)
    centre = rate + z * z / (2 * n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At 0 and at n one end equals the rate exactly; rounding must not push it past.
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == n else (centre + half) / scale
    return Interval(rate, low, high, n)


def mean_interval(
    values: ArrayLike,
    *,
    groups: Groups | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Bound a mean by the percentile bootstrap over rows, or over groups where they are given.

    A resample draws as many groups as there are, with replacement, and takes the mean over all their rows. Sources:
    Efron 1979, Ann. Statist. 7(1); clusters: Cameron, Gelbach and Miller 2008, Rev. Econ. Stat. 90(3).

    Raises:
        ValueError: for no values, values that are not finite, or groups of another length.
    """
    array = finite(values, "values")
    means = resampled_means(*group_totals(array, groups), n_resamples=n_resamples, seed=seed)
    low, high = percentiles(means, confidence)
    return Interval(float(array.mean()), low, high, len(array))


def rate_interval(
    outcomes: Sequence[bool] | NDArray[np.bool_],
    *,
    groups: Groups | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Bound a rate: Wilson's interval where rows are independent, a clustered bootstrap where they share groups.

    Outcomes that are all alike leave a bootstrap nothing to vary; then Wilson's interval over the number of groups is
    taken, the widest reading of the data.

    Raises:
        ValueError: for no outcomes, outcomes other than 0 and 1, or groups of another length.
    """
    array = binary(outcomes, "outcomes")
    sums, _ = group_totals(array, groups)
    successes = int(array.sum())
    if len(sums) == len(array):
        return wilson_interval(successes, len(array), confidence=confidence)
    if successes in {0, len(array)}:
        wilson = wilson_interval(len(sums) if successes else 0, len(sums), confidence=confidence)
        return Interval(wilson.value, wilson.low, wilson.high, len(array))
    return mean_interval(array, groups=groups, n_resamples=n_resamples, seed=seed, confidence=confidence)


def statistic_interval(
    statistic: Callable[[NDArray[np.int64]], float],
    n: int,
    *,
    groups: Groups | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Bound any statistic of ``n`` rows by the percentile bootstrap, clustered where groups are given.

    Args:
        statistic: takes the row numbers of a resample; called once with all rows in order, then once a resample.
        n: how many rows there are.
        groups: what each row shares with others.
        n_resamples: how many resamples are drawn.
        seed: of the draws.
        confidence: of the interval.
    """
    codes = group_codes(n, groups)
    members = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
    rng = np.random.default_rng(seed)
    draws = (rng.integers(len(members), size=len(members)) for _ in range(n_resamples))
    resampled = [statistic(np.concatenate([members[code] for code in draw])) for draw in draws]
    low, high = percentiles(np.asarray(resampled, dtype=np.float64), confidence)
    return Interval(float(statistic(np.arange(n))), low, high, n)
