"""How far two raters' labels agree: the confusion matrix, the share, and Cohen's kappa, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from charter.statistics.agreement import ConfusionMatrix, confusion_matrix, kappa_of
from charter.statistics.intervals import Interval, rate_interval
from charter.statistics.resampling import (
    N_RESAMPLES,
    Groups,
    bootstrap_bounds,
    group_codes,
    n_groups_of,
)

_KAPPA_LIMITS = (-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class LabelAgreement:
    """What two raters' labels of the same rows have in common; the first rater stands in the matrix's rows.

    ``kappa`` has no ends where the rows cannot bound it.
    """

    matrix: ConfusionMatrix
    agreement: Interval
    kappa: Interval


def label_agreement(
    first: Sequence[str], second: Sequence[str], *, labels: Sequence[str] | None = None, groups: Groups | None = None
) -> LabelAgreement:
    """Compare two raters' labels.

    Args:
        first: one rater's, or those held to be right.
        second: as many of the other's.
        labels: their order in the matrix; by default every label that occurs, sorted.
        groups: what each row shares with others.

    Raises:
        ValueError: for no rows, rows that are not paired, or a label that ``labels`` does not name.
    """
    return LabelAgreement(
        matrix=confusion_matrix(first, second, labels=labels),
        agreement=rate_interval([one == other for one, other in zip(first, second, strict=True)], groups=groups),
        kappa=kappa_interval(first, second, groups=groups),
    )


def kappa_interval(
    first: Sequence[str],
    second: Sequence[str],
    *,
    groups: Groups | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Bound Cohen's kappa by the bootstrap, over groups where they are given (see ``bootstrap_bounds``).

    A resample's kappa follows from its table alone, and its table is a sum of the groups' tables: a hundred thousand
    rows take seconds.

    Args:
        first: one rater's labels.
        second: as many of the other's.
        groups: what each row shares with others.
        n_resamples: how many resamples are drawn.
        seed: of the draws.
        confidence: of the interval.

    Raises:
        ValueError: as ``confusion_matrix``.
    """
    matrix = confusion_matrix(first, second)
    place = {label: number for number, label in enumerate(matrix.labels)}
    codes = group_codes(len(first), groups)
    n_groups = int(codes.max()) + 1
    rows, columns = (np.asarray([place[one] for one in labels]) for labels in (first, second))
    tables = np.zeros((n_groups, len(place), len(place)))
    np.add.at(tables, (codes, rows, columns), 1.0)
    # Most groups have one of few tables: which of them a draw holds is all that counts.
    kinds, kind_of = np.unique(tables.reshape(n_groups, -1), axis=0, return_inverse=True)
    rng = np.random.default_rng(seed)
    draws = (kind_of.ravel()[rng.integers(n_groups, size=n_groups)] for _ in range(n_resamples))
    sums = [np.bincount(drawn, minlength=len(kinds)) @ kinds for drawn in draws]
    resampled = [kappa_of(cells.reshape(len(place), len(place))) for cells in sums]
    low, high = bootstrap_bounds(matrix.kappa, np.asarray(resampled), n_groups, confidence, _KAPPA_LIMITS)
    return Interval(matrix.kappa, low, high, len(first), n_groups_of(len(first), n_groups))
