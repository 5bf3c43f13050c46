"""Rows of numbers and their groups: checked, totalled, resampled.

A *group* is what rows share that makes them dependent: a context, a prompt asked twice. Wherever groups are given they
are resampled or flipped whole, so that a hundred rows of five contexts count as five observations.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Groups = Sequence[Hashable]

N_RESAMPLES = 2000
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


def percentiles(resampled: Floats, confidence: float) -> tuple[float, float]:
    """Cut equal tails off a bootstrap distribution."""
    tail = _tail(confidence)
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def normal_quantile(confidence: float) -> float:
    """Give the z that holds ``confidence`` of the normal distribution within ±z: 1.96 for 0.95."""
    return float(NormalDist().inv_cdf(1 - _tail(confidence)))


def _tail(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence}: expected a number between 0 and 1, such as 0.95")
    return (1 - confidence) / 2
