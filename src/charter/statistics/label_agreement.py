"""How far raters' labels agree: confusion matrix, share and Cohen's kappa of two, Krippendorff's alpha of any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charter.statistics.agreement import ConfusionMatrix, confusion_matrix, kappa_of
from charter.statistics.intervals import Interval, rate_interval
from charter.statistics.resampling import (
    N_RESAMPLES,
    Floats,
    Groups,
    bootstrap_bounds,
    group_codes,
    n_groups_of,
)

_LIMITS = (-1.0, 1.0)  # of kappa, and of alpha


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
    rows, columns = (np.asarray([place[one] for one in labels]) for labels in (first, second))
    tables = np.zeros((int(codes.max()) + 1, len(place), len(place)))
    np.add.at(tables, (codes, rows, columns), 1.0)
    resampled = _of_resamples(kappa_of, tables, n_resamples, seed)
    low, high = bootstrap_bounds(matrix.kappa, resampled, len(tables), confidence, _LIMITS)
    return Interval(matrix.kappa, low, high, len(first), n_groups_of(len(first), len(tables)))


def alpha_interval(
    units: Sequence[Sequence[str]],
    *,
    groups: Groups | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval | None:
    """Bound Krippendorff's alpha of nominal labels by the bootstrap, over groups where they are given.

    ``1 - D_o / D_e``: the disagreement within units over what the labels of all units together would give. It takes any
    number of raters, of whom not each has labelled every unit. Source: Krippendorff 2011, Computing Krippendorff's
    Alpha-Reliability.

    Args:
        units: the labels that each unit was given, in any order; units with fewer than two say nothing.
        groups: what each unit shares with others.
        n_resamples: how many resamples are drawn.
        seed: of the draws.
        confidence: of the interval.

    Returns:
        Alpha, of which ``n`` counts the units with two labels or more; None where there is none.
    """
    told = [number for number, labels in enumerate(units) if len(labels) > 1]
    if not told:
        return None
    place = {label: number for number, label in enumerate(sorted({one for at in told for one in units[at]}))}
    codes = group_codes(len(told), None if groups is None else [groups[at] for at in told])
    tables = np.zeros((int(codes.max()) + 1, len(place), len(place)))
    for at, code in zip(told, codes, strict=True):
        tables[code] += _coincidences([place[one] for one in units[at]], len(place))
    value = alpha_of(tables.sum(axis=0))
    resampled = _of_resamples(alpha_of, tables, n_resamples, seed)
    low, high = bootstrap_bounds(value, resampled, len(tables), confidence, _LIMITS)
    return Interval(value, low, high, len(told), n_groups_of(len(told), len(tables)))


def alpha_of(coincidences: Floats) -> float:
    """Give Krippendorff's alpha of a table of coincidences: how often each label stands beside each in one unit.

    Where all units have one and the same label nothing beyond chance is shown: 0.0, as of kappa.
    """
    of_label = coincidences.sum(axis=0)
    n = float(of_label.sum())
    expected = n * n - float(of_label @ of_label)
    return 0.0 if expected == 0.0 else 1.0 - (n - 1) * (n - float(np.trace(coincidences))) / expected


def _coincidences(labels: Sequence[int], n_labels: int) -> Floats:
    """Count the ordered pairs of a unit's labels, so weighted that they come to as many as there are labels."""
    counts = np.bincount(labels, minlength=n_labels).astype(np.float64)
    pairs: Floats = (np.outer(counts, counts) - np.diag(counts)) / (len(labels) - 1)
    return pairs


def _of_resamples(
    statistic: Callable[[NDArray[np.float64]], float], tables: Floats, n_resamples: int, seed: int
) -> Floats:
    """Give a statistic of the summed tables of groups that are drawn with replacement, again and again."""
    # Most groups have one of few tables: which of them a draw holds is all that counts.
    kinds, kind_of = np.unique(tables.reshape(len(tables), -1), axis=0, return_inverse=True)
    rng = np.random.default_rng(seed)
    draws = (kind_of.ravel()[rng.integers(len(tables), size=len(tables))] for _ in range(n_resamples))
    sums = (np.bincount(drawn, minlength=len(kinds)) @ kinds for drawn in draws)
    return np.asarray([statistic(cells.reshape(tables.shape[1:])) for cells in sums])
