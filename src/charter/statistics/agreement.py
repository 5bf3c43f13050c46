"""Calibration of probabilities and agreement of labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from charter.statistics.resampling import Floats, finite


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The rows whose probability lies in [lower, upper): how sure they were, and how often they came true."""

    lower: float
    upper: float
    n: int
    confidence: float
    frequency: float


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """Counts by true label (rows) and predicted label (columns), both in the order of ``labels``."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def n(self) -> int:
        """How many rows were counted."""
        return sum(map(sum, self.counts))

    @property
    def agreement(self) -> float:
        """The share of rows on the diagonal."""
        return sum(self.counts[i][i] for i in range(len(self.labels))) / self.n

    @property
    def kappa(self) -> float:
        """Cohen's kappa: ``(p_o - p_e) / (1 - p_e)``, agreement beyond what the margins alone would give.

        Where both sides use one and the same label throughout, chance already explains everything and the quotient is
        0/0; 0.0 is returned, since nothing beyond chance was shown. Source: Cohen 1960, Educ. Psychol. Meas. 20(1).
        """
        return kappa_of(np.asarray(self.counts, dtype=np.float64))


def kappa_of(counts: NDArray[np.float64]) -> float:
    """Give Cohen's kappa of a square table of counts (see ``ConfusionMatrix.kappa``)."""
    table = counts / counts.sum()
    expected = float(table.sum(axis=0) @ table.sum(axis=1))
    return 0.0 if math.isclose(expected, 1.0) else (float(np.trace(table)) - expected) / (1.0 - expected)


def reliability_bins(probabilities: ArrayLike, outcomes: ArrayLike, *, n_bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Compare probabilities with what came true, in equal-width bins over [0, 1]; empty bins are left out.

    Raises:
        ValueError: for no rows, rows that are not paired, or values outside [0, 1].
    """
    sure, true = finite(probabilities, "probabilities"), finite(outcomes, "outcomes")
    if sure.shape != true.shape:
        raise ValueError(f"{len(sure)} probabilities and {len(true)} outcomes: expected one outcome for each")
    if min(sure.min(), true.min()) < 0 or max(sure.max(), true.max()) > 1:
        raise ValueError("a probability or outcome lies outside [0, 1]")
    places = bin_places(sure, n_bins=n_bins)
    bins = []
    for place in np.unique(places):
        inside = places == place
        bins.append(
            ReliabilityBin(
                lower=int(place) / n_bins,
                upper=(int(place) + 1) / n_bins,
                n=int(inside.sum()),
                confidence=float(sure[inside].mean()),
                frequency=float(true[inside].mean()),
            )
        )
    return tuple(bins)


def bin_places(probabilities: ArrayLike, *, n_bins: int = 10) -> NDArray[np.int64]:
    """Number the bin of each probability, from 0; 1.0 belongs to the last one."""
    places: NDArray[np.int64] = np.minimum(
        (np.asarray(probabilities, dtype=np.float64) * n_bins).astype(np.int64), n_bins - 1
    )
    return places


def expected_calibration_error(probabilities: ArrayLike, outcomes: ArrayLike, *, n_bins: int = 10) -> float:
    """Average the gap between probability and frequency: ``Σ (n_bin / n) |frequency - confidence|``.

    Equal-width bins; 0 is calibrated. Source: Guo et al. 2017, arXiv 1706.04599.

    Raises:
        ValueError: as ``reliability_bins``.
    """
    bins = reliability_bins(probabilities, outcomes, n_bins=n_bins)
    total = sum(one.n for one in bins)
    return sum(one.n * abs(one.frequency - one.confidence) for one in bins) / total


def error_of_true_probabilities(
    probabilities: ArrayLike, *, n_bins: int = 10, seed: int = 0, n_draws: int = 1000
) -> tuple[float, float]:
    """Say what calibration error rows would show whose probabilities are all true: few rows never match theirs.

    Outcomes are drawn from the probabilities, each by itself, again and again.

    Returns:
        The mean error, and the one that 95 % of the draws stay below.
    """
    sure = finite(probabilities, "probabilities")
    places = bin_places(sure, n_bins=n_bins)
    chance = np.random.default_rng(seed)
    expected = np.bincount(places, sure, n_bins)
    errors = []
    for _ in range(n_draws):
        came_true = np.bincount(places, chance.random(len(sure)) < sure, n_bins)
        errors.append(float(np.abs(came_true - expected).sum()) / len(sure))
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))


def confusion_matrix(
    true: Sequence[str], predicted: Sequence[str], *, labels: Sequence[str] | None = None
) -> ConfusionMatrix:
    """Count rows by true and predicted label.

    Args:
        true: the labels held to be right.
        predicted: as many labels to compare.
        labels: their order; by default every label that occurs, sorted.

    Raises:
        ValueError: for no rows, rows that are not paired, or a label that ``labels`` does not name.
    """
    if len(true) != len(predicted) or not true:
        raise ValueError(f"{len(true)} true and {len(predicted)} predicted labels: expected as many, and at least one")
    names = tuple(labels) if labels is not None else tuple(sorted({*true, *predicted}))
    unknown = {*true, *predicted} - set(names)
    if unknown:
        raise ValueError(f"labels {sorted(unknown)} are not among {list(names)}: name every label that occurs")
    place = {name: index for index, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, ([place[name] for name in true], [place[name] for name in predicted]), 1)
    return ConfusionMatrix(names, tuple(tuple(int(count) for count in row) for row in counts))


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> float:
    """Measure two raters' agreement beyond chance (see ``ConfusionMatrix.kappa``)."""
    return confusion_matrix(first, second).kappa


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Correlate two rows of numbers by their ranks; equal numbers share the mean of theirs.

    From -1 to 1; 0.0 where either row is all of one number, which nothing goes with. Source: Spearman 1904, Am. J.
    Psychol. 15(1).

    Raises:
        ValueError: for no rows, or rows that are not paired.
    """
    one, other = finite(first, "first"), finite(second, "second")
    if one.shape != other.shape:
        raise ValueError(f"{len(one)} and {len(other)} numbers: expected as many")
    ranks = [_ranks(row) - (len(row) + 1) / 2 for row in (one, other)]
    spread = math.sqrt(float((ranks[0] ** 2).sum()) * float((ranks[1] ** 2).sum()))
    return float(ranks[0] @ ranks[1]) / spread if spread else 0.0


def _ranks(values: Floats) -> Floats:
    """Rank numbers from 1, equal ones by their mean."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: Floats = (last - (counts - 1) / 2)[places]
    return means
