"""Many tests at once: p-values that hold for all of them together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that under no effect any of them is below 0.05 in at most 5 % of families.

    The smallest is multiplied by their number, the next by one less, and so on; none falls below one before it, and
    none exceeds 1. Holds for tests that depend on one another. Source: Holm 1979, Scand. J. Stat. 6(2).

    Args:
        p_values: of one family, in any order.

    Returns:
        The adjusted ones, in the same order.

    Raises:
        ValueError: for a value that is no probability.
    """
    array = np.asarray(p_values, dtype=np.float64)
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError("p_values holds what is no probability: expected numbers from 0 to 1")
    order = np.argsort(array, kind="stable")
    factors = len(array) - np.arange(len(array))
    adjusted = np.empty_like(array)
    adjusted[order] = np.minimum(np.maximum.accumulate(array[order] * factors), 1.0)
    return [float(one) for one in adjusted]
