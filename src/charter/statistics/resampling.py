"""Rows of numbers and their groups: checked, totalled, resampled.

A *group* is what rows share that makes them dependent: a context, a prompt asked twice. Wherever groups are given
they are resampled or flipped whole, or counted as the rows that they are worth: a hundred rows of five contexts are not
a hundred observations.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Groups = Sequence[Hashable]

Limits = tuple[float, float]

N_RESAMPLES = 2000
TIE = 0.5
MIN_GROUPS = 5  # of fewer, resamples are too few different ones to bound anything
ANY_NUMBER: Limits = (-math.inf, math.inf)
_ROUNDING = 1e-12  # sums of equal values differ by as much
BLOCK = 2_000_000  # drawn indices held at once: 16 MB, whatever the number of rows


def finite(values: ArrayLike, name: str) -> Floats:
    """Check a row of numbers: one dimension, at least one number, none of them NaN or infinite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"{name} has shape {array.shape}: expected a row of at least one number")
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name} holds {int((~np.isfinite(array)).sum())} numbers that are not finite: leave those rows out"
        )
    return array


def binary(values: ArrayLike, name: str) -> Floats:
    """Check a row of outcomes: as ``finite``, and nothing but 0 and 1."""
    array = finite(values, name)
    if not np.isin(array, (0.0, 1.0)).all():
        raise ValueError(
            f"{name} holds values other than 0 and 1: a rate needs outcomes (for means use the mean functions)"
        )
    return array


def with_ties(values: ArrayLike, name: str) -> Floats:
    """Check a row of outcomes of which some may be ties: as ``finite``, and nothing but 0, 0.5 and 1."""
    array = finite(values, name)
    if not np.isin(array, (0.0, TIE, 1.0)).all():
        raise ValueError(f"{name} holds values other than 0, 0.5 and 1: expected outcomes, of which a half is a tie")
    return array


def group_codes(n: int, groups: Groups | None) -> NDArray[np.int64]:
    """Number the groups 0, 1, ... in order of first appearance; without groups every row is its own."""
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} rows: expected one for each row")
    place = {key: code for code, key in enumerate(dict.fromkeys(groups))}
    return np.fromiter((place[key] for key in groups), dtype=np.int64, count=n)


def group_totals(array: Floats, groups: Groups | None) -> tuple[Floats, Floats]:
    """Give each group's sum and its number of rows."""
    codes = group_codes(len(array), groups)
    return np.bincount(codes, weights=array).astype(np.float64), np.bincount(codes).astype(np.float64)


def n_effective(array: Floats, groups: Groups | None, confidence: float) -> float:
    """Count the independent rows that would bound a rate, or its change, as tightly as these grouped rows do.

    The number of rows, divided by how much more the mean varies between groups than it would between as many
    independent rows (the design effect), and by ``(t / z)²``, since that is known from the groups alone: from those
    that hold a row unlike the most. Where fewer than ``MIN_GROUPS`` hold one, nothing shows how rows of a group hang
    together, and each group counts as one row at most. Source: Korn and Graubard 1998, Surv. Methodol. 24(2).

    Args:
        array: the rows' values, of which there are few different ones.
        groups: what each row shares with others; None, or groups of one row each, leave the number of rows.
        confidence: of the interval that the number is for.
    """
    codes = group_codes(len(array), groups)
    n, n_groups = len(array), int(codes.max()) + 1
    if n_groups == n:
        return n
    values, counts = np.unique(array, return_counts=True)
    n_telling = len(np.unique(codes[array != values[counts.argmax()]]))
    spread = float(np.square(array - array.mean()).sum())
    of_groups = float(np.square(np.bincount(codes, weights=array - array.mean())).sum())
    if n_telling == 0 or of_groups <= _ROUNDING:
        return n_groups
    found = n * spread / of_groups * (n_groups - 1) / n_groups
    if n_telling < MIN_GROUPS:
        return max(1.0, min(n_groups, found))
    margin = normal_quantile(confidence) / t_quantile(confidence, n_telling - 1)
    return max(1.0, min(n, found * margin**2))


def n_groups_of(n: int, n_groups: int) -> int | None:
    """Give the number of groups to be told beside the number of rows: None where each row is its own."""
    return None if n_groups == n else n_groups


def resampled_means(sums: Floats, sizes: Floats, *, n_resamples: int, seed: int) -> Floats:
    """Draw resamples of whole groups, and give the mean over the rows of each."""
    rng = np.random.default_rng(seed)
    means = np.empty(n_resamples)
    step = max(1, BLOCK // len(sums))
    for start in range(0, n_resamples, step):
        stop = min(start + step, n_resamples)
        drawn = rng.integers(len(sums), size=(stop - start, len(sums)))
        means[start:stop] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return means


def bootstrap_bounds(
    value: float, resampled: Floats, n_groups: int, confidence: float, limits: Limits
) -> tuple[float, float] | tuple[None, None]:
    """Bound a value by its resamples: their percentiles, moved away from it by what few groups make them too narrow.

    Percentiles are too near by ``sqrt((n - 1) / n)``, since a sample varies less around its own mean than around the
    truth, and by ``z / t``, since they take the spread for known: together 37 % for 5 groups, 6 % for 30, 2 % for 100.
    Source: Hesterberg 2015, Am. Stat. 69(4), who moves the percentiles' levels; here their distances are stretched,
    which needs no resamples from the far tails.

    Args:
        value: over all rows.
        resampled: the same of each resample.
        n_groups: how many groups a resample draws.
        confidence: of the interval.
        limits: what no such value can exceed.

    Returns:
        Both ends, or neither: fewer than ``MIN_GROUPS`` groups or resamples that are all alike bound nothing.
    """
    low, high = percentiles(resampled, confidence)
    if n_groups < MIN_GROUPS or high - low <= _ROUNDING * max(1.0, abs(value)):
        return None, None
    stretch = t_quantile(confidence, n_groups - 1) / normal_quantile(confidence) * math.sqrt(n_groups / (n_groups - 1))
    return max(limits[0], value - stretch * (value - low)), min(limits[1], value + stretch * (high - value))


def percentiles(resampled: Floats, confidence: float) -> tuple[float, float]:
    """Cut equal tails off a bootstrap distribution."""
    tail = _tail(confidence)
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def normal_quantile(confidence: float) -> float:
    """Give the z that holds ``confidence`` of the normal distribution within ±z: 1.96 for 0.95."""
    return float(NormalDist().inv_cdf(1 - _tail(confidence)))


def t_quantile(confidence: float, degrees: int) -> float:
    """Give the t that holds ``confidence`` of Student's distribution within ±t, for 4 degrees of freedom or more.

    The normal quantile and four terms in ``1 / degrees``, right to 0.3 % from 4 degrees on. Source: Abramowitz and
    Stegun 1964, 26.7.5.
    """
    z = normal_quantile(confidence)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / float(degrees) ** power for power, term in enumerate(terms, start=1))


def _tail(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence}: expected a number between 0 and 1, such as 0.95")
    return (1 - confidence) / 2
