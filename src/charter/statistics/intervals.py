"""Confidence intervals: of a rate, a mean, or any statistic of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from charter.statistics.resampling import (
    ANY_NUMBER,
    N_RESAMPLES,
    TIE,
    Groups,
    Limits,
    bootstrap_bounds,
    finite,
    group_codes,
    group_totals,
    n_effective,
    n_groups_of,
    resampled_means,
    with_ties,
)
from charter.statistics.score_bounds import tango_bounds, wilson_bounds


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its confidence interval; ``n`` counts rows, ``n_groups`` what is independent among them.

    ``low`` and ``high`` are None where the rows cannot bound the figure. ``n_groups`` is None where each row stands for
    itself.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    n_groups: int | None = None

    @property
    def reach(self) -> float:
        """The distance from the figure to the further end, 0 where there is no interval."""
        if self.low is None or self.high is None:
            return 0.0
        return max(self.value - self.low, self.high - self.value)


def wilson_interval(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Bound a rate of independent rows by Wilson's score interval.

    ``(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)``: it stays inside [0, 1] and is honest at 0 of n, where the
    textbook interval has no width. Source: Wilson 1927, JASA 22(158).

    Raises:
        ValueError: unless ``0 <= successes <= n`` and ``n >= 1``.
    """
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} successes of {n} rows: expected 0 <= successes <= n and n >= 1")
    return Interval(successes / n, *wilson_bounds(successes / n, n, confidence), n)


def some_rate(outcomes: Sequence[tuple[float, str]]) -> Interval:
    """Bound a rate of outcomes, each with the name of its group (see ``rate_interval``)."""
    return rate_interval([float(value) for value, _ in outcomes], groups=[group for _, group in outcomes])


def rate_of(outcomes: Sequence[tuple[float, str]]) -> Interval | None:
    """Bound a rate as ``some_rate`` does; None where there is no outcome."""
    return some_rate(outcomes) if outcomes else None


def mean_interval(
    values: ArrayLike,
    *,
    groups: Groups | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
    limits: Limits = ANY_NUMBER,
) -> Interval:
    """Bound a mean by the bootstrap over rows, or over groups where they are given (see ``bootstrap_bounds``).

    A resample draws as many groups as there are, with replacement, and takes the mean over all their rows. Fewer than
    five groups, or groups that are all alike, have no interval. Sources: Efron 1979, Ann. Statist. 7(1); clusters:
    Cameron, Gelbach and Miller 2008, Rev. Econ. Stat. 90(3).

    Args:
        values: of the rows.
        groups: what each row shares with others.
        n_resamples: how many resamples are drawn.
        seed: of the draws.
        confidence: of the interval.
        limits: what no such mean can exceed.

    Raises:
        ValueError: for no values, values that are not finite, or groups of another length.
    """
    array = finite(values, "values")
    sums, sizes = group_totals(array, groups)
    means = resampled_means(sums, sizes, n_resamples=n_resamples, seed=seed)
    value = float(array.mean())
    low, high = bootstrap_bounds(value, means, len(sums), confidence, limits)
    return Interval(value, low, high, len(array), n_groups_of(len(array), len(sums)))


def rate_interval(outcomes: ArrayLike, *, groups: Groups | None = None, confidence: float = 0.95) -> Interval:
    """Bound a rate by Wilson's score interval, over as many rows as the groups are worth (see ``n_effective``).

    A tie counts a half. It varies less than a win or a loss, which Wilson's interval does not know: of a rate with ties
    the difference between wins and losses is bounded by Tango's score interval, which without ties is Wilson's. Sources
    for rates in groups: Dean and Pagano 2015, J. Surv. Stat. Methodol. 3(4); Tango 1998, Stat. Med. 17(8).

    Raises:
        ValueError: for no outcomes, outcomes other than 0, 0.5 and 1, or groups of another length.
    """
    array = with_ties(outcomes, "outcomes")
    rate, n_groups = float(array.mean()), len(group_totals(array, groups)[0])
    n = n_effective(array, groups, confidence)
    if (array == TIE).any():
        lost, won = float((array < TIE).mean()), float((array > TIE).mean())
        low, high = ((1 + end) / 2 for end in tango_bounds(lost, won, n, confidence))
    else:
        low, high = wilson_bounds(rate, n, confidence)
    return Interval(rate, low, high, len(array), n_groups_of(len(array), n_groups))


def statistic_interval(
    statistic: Callable[[NDArray[np.int64]], float],
    n: int,
    *,
    groups: Groups | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
    limits: Limits = ANY_NUMBER,
) -> Interval:
    """Bound any statistic of ``n`` rows by the bootstrap, clustered where groups are given (see ``mean_interval``).

    Args:
        statistic: takes the row numbers of a resample; called once with all rows in order, then once a resample.
        n: how many rows there are.
        groups: what each row shares with others.
        n_resamples: how many resamples are drawn.
        seed: of the draws.
        confidence: of the interval.
        limits: what no such statistic can exceed.
    """
    codes = group_codes(n, groups)
    members = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
    rng = np.random.default_rng(seed)
    samples = (rng.integers(len(members), size=len(members)) for _ in range(n_resamples))
    resampled = [statistic(np.concatenate([members[code] for code in draw])) for draw in samples]
    value = float(statistic(np.arange(n)))
    drawn = np.asarray(resampled, dtype=np.float64)
    low, high = bootstrap_bounds(value, drawn, len(members), confidence, limits)
    return Interval(value, low, high, n, n_groups_of(n, len(members)))
