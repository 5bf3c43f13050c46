"""Ridge regression in closed form, and its strength chosen, and its worth measured, on groups that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from charter.statistics.resampling import Floats, Groups, finite, group_codes

#: Strengths that are tried: of the penalty, for each column that varies.
STRENGTHS: tuple[float, ...] = tuple(float(10.0**power) for power in np.arange(-3.0, 3.5, 0.5))
N_FOLDS = 5
_CONSTANT = 1e-8  # a spread that is rounding


@dataclass(frozen=True)
class Ridge:
    """A line through standardised columns: ``bias + ((x - centre) / scale) @ weights``.

    Attributes:
        centre: each column's mean.
        scale: each column's standard deviation; infinite where it does not vary, so that it counts for nothing.
        weights: of the standardised columns.
        bias: the targets' mean.
        strength: of the penalty, for each column that varies.
    """

    centre: Floats
    scale: Floats
    weights: Floats
    bias: float
    strength: float

    def predict(self, features: ArrayLike) -> Floats:
        """Give the line's value for each row of (rows, columns)."""
        found: Floats = ((_table(features) - self.centre) / self.scale) @ self.weights + self.bias
        return found


def fit_ridge(features: ArrayLike, targets: ArrayLike, strengths: Sequence[float] = STRENGTHS) -> list[Ridge]:
    """Fit one line for each strength: the least ``|y - Z w - mean(y)|² + strength · columns · |w|²``.

    ``Z`` are the columns with mean 0 and standard deviation 1, of which those count that vary. It is solved over rows
    or columns, of whichever there are fewer: one eigendecomposition serves all strengths. Source: Hoerl and Kennard
    1970, Technometrics 12(1).

    Args:
        features: (rows, columns).
        targets: (rows,).
        strengths: each more than 0.

    Raises:
        ValueError: for numbers that are not finite, or as many targets as there are no rows.
    """
    table, wanted = _table(features), finite(targets, "targets")
    if len(table) != len(wanted):
        raise ValueError(f"{len(table)} rows of features and {len(wanted)} targets: expected as many")
    centre, spread = table.mean(axis=0), table.std(axis=0)
    scale = np.where(spread > _CONSTANT, spread, np.inf)
    standard, n_columns = (table - centre) / scale, int(np.isfinite(scale).sum())
    bias = float(wanted.mean())
    over_rows = len(table) <= table.shape[1]
    eigenvalues, vectors = np.linalg.eigh(standard @ standard.T if over_rows else standard.T @ standard)
    turned = vectors.T @ (wanted - bias if over_rows else standard.T @ (wanted - bias))
    lines = []
    for strength in strengths:
        solved = vectors @ (turned / (eigenvalues + strength * n_columns)) if n_columns else np.zeros(len(vectors))
        lines.append(Ridge(centre, scale, standard.T @ solved if over_rows else solved, bias, strength))
    return lines


def grouped_folds(groups: Groups, *, n_folds: int = N_FOLDS, seed: int = 0) -> NDArray[np.int64]:
    """Deal whole groups to folds, by the seed and as evenly as can be; the fold of each row, from 0.

    Raises:
        ValueError: for fewer groups than folds.
    """
    codes = group_codes(len(groups), groups)
    n_groups = int(codes.max()) + 1 if len(codes) else 0
    if n_groups < n_folds:
        raise ValueError(f"{n_groups} groups for {n_folds} folds: expected as many at least")
    dealt: NDArray[np.int64] = np.empty(n_groups, dtype=np.int64)
    dealt[np.random.default_rng(seed).permutation(n_groups)] = np.arange(n_groups) % n_folds
    return dealt[codes]


def fit_chosen(features: ArrayLike, targets: ArrayLike, groups: Groups, *, seed: int = 0) -> Ridge:
    """Fit a line of the strength that errs least on groups left out, in squares, in five folds.

    Args:
        features: (rows, columns).
        targets: (rows,).
        groups: what each row shares with others; five at least.
        seed: of the folds.
    """
    table, wanted = _table(features), finite(targets, "targets")
    folds = grouped_folds(groups, seed=seed)
    errors = np.zeros(len(STRENGTHS))
    for fold in range(N_FOLDS):
        out = folds == fold
        lines = fit_ridge(table[~out], wanted[~out])
        errors += [float(np.square(line.predict(table[out]) - wanted[out]).sum()) for line in lines]
    return fit_ridge(table, wanted, [STRENGTHS[int(errors.argmin())]])[0]


def held_out_predictions(features: ArrayLike, targets: ArrayLike, groups: Groups, *, seed: int = 0) -> Floats:
    """Predict every row from lines that saw nothing of its group, nor chose their strength by it (nested folds).

    Args:
        features: (rows, columns).
        targets: (rows,).
        groups: what each row shares with others; seven at least, so that five are left where a fold is out.
        seed: of the folds.
    """
    table, wanted = _table(features), finite(targets, "targets")
    folds = grouped_folds(groups, seed=seed)
    found = np.empty(len(wanted))
    for fold in range(N_FOLDS):
        out = folds == fold
        others = [group for group, is_out in zip(groups, out, strict=True) if not is_out]
        found[out] = fit_chosen(table[~out], wanted[~out], others, seed=seed).predict(table[out])
    return found


def _table(features: ArrayLike) -> Floats:
    array = np.asarray(features, dtype=np.float64)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise ValueError(f"features have shape {array.shape}: expected finite numbers, (rows, columns)")
    return array
