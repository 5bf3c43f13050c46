"""Calibrating a judge on pairs that people have labelled: a temperature and a bias towards the option shown first.

Fitted on verdicts, and measured on whole labels, after both orders and all principles are averaged: by
cross-validation, so that no pair is measured with what was fitted on it, nor on another of its context.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from charter.feedback.votes import LetterReading, combine_verdicts, p_first_of, read_again
from charter.records import Verdict
from charter.seeds import derive_seed
from charter.statistics import Interval, expected_calibration_error, mean_interval, rate_interval, reliability_bins
from charter.statistics.agreement import ReliabilityBin, error_of_true_probabilities
from charter.statistics.scaling import AS_READ, Scaling, fit_scaling

_EVEN = 0.5
_FOLDS = 5
_MIN_CONTEXTS = 2
_DIGITS = 9
_BINS = 20  # over [0, 1], of which a label's confidence can be in the upper ten


@dataclass(frozen=True)
class JudgedPair:
    """A pair that a judge and people have looked at.

    Attributes:
        id: of the pair.
        context: what pairs that hang together share.
        verdicts: the judge's.
        truth: how people see it: 1 where a is better, 0 where b is, 0.5 for a tie, between where they are not sure.
        category: of its prompt.
        longer_a: by how many characters a is the longer response.
        author_a: which model wrote a; empty where nobody says.
        author_b: which wrote b.
    """

    id: str
    context: str
    verdicts: tuple[Verdict, ...]
    truth: float
    category: str = ""
    longer_a: int = 0
    author_a: str = ""
    author_b: str = ""

    @property
    def side(self) -> float:
        """Whether people take a, however surely: 1, 0, or a half for a tie."""
        return agrees(self.truth, 1.0)

    def p_a(self, reading: LetterReading) -> float | None:
        """Label the pair, read in a way; None without a valid vote."""
        return combine_verdicts(read_again(self.verdicts, reading)).p_a


@dataclass(frozen=True)
class LabelQuality:
    """How good probabilities are on ``n`` pairs with a truth.

    Attributes:
        n: pairs.
        accuracy: the share of pairs whose likelier side is people's; a tie counts a half.
        brier: the mean of (p - truth)².
        ece: the expected calibration error: how far the probability of the likelier side is from people's.
        ece_by_chance: what it would be on as many pairs if the probabilities were true: on average, and in 95 % of
            cases at most.
        bins: what that is the mean of.
    """

    n: int
    accuracy: Interval
    brier: Interval
    ece: float
    ece_by_chance: tuple[float, float]
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class Calibration:
    """A judge's scaling, fitted on all pairs, and what it is worth on pairs that it was not fitted on."""

    scaling: Scaling
    before: LabelQuality
    after: LabelQuality
    n_pairs: int
    n_contexts: int


def calibrate(
    pairs: Sequence[JudgedPair], *, clamp: tuple[float, float] | None = None, n_folds: int = _FOLDS, seed: int = 0
) -> Calibration:
    """Fit a judge's temperature and bias, and measure them by cross-validation over contexts.

    Args:
        pairs: with their truths; those without a valid vote are left out.
        clamp: what is done after the scaling, with chains.
        n_folds: parts that the contexts are divided into; of fewer contexts, each is a part.
        seed: of the division.

    Raises:
        ValueError: where the pairs with a valid vote are of fewer than two contexts.
    """
    valid = [pair for pair in pairs if pair.p_a(LetterReading()) is not None]
    contexts = {pair.context for pair in valid}
    if len(contexts) < _MIN_CONTEXTS:
        raise ValueError(f"{len(valid)} pairs of {len(contexts)} contexts: calibration wants pairs of two at least")
    crossed: list[tuple[JudgedPair, float]] = []
    for others, fold in folds(valid, n_folds=n_folds, seed=seed):
        crossed += _labelled(fold, LetterReading(fit_on(others), clamp))
    before = measure(_labelled(valid, LetterReading(AS_READ, clamp)))
    return Calibration(fit_on(valid), before, measure(crossed), len(valid), len(contexts))


def folds(
    pairs: Sequence[JudgedPair], *, n_folds: int = _FOLDS, seed: int = 0
) -> Iterator[tuple[list[JudgedPair], list[JudgedPair]]]:
    """Divide pairs into parts by their contexts; of each part give the pairs of all others, and its own."""
    contexts = sorted({pair.context for pair in pairs}, key=lambda name: derive_seed(seed, name, "fold"))
    fold_of = {name: number % n_folds for number, name in enumerate(contexts)}
    for fold in sorted(set(fold_of.values())):
        others = [pair for pair in pairs if fold_of[pair.context] != fold]
        yield others, [pair for pair in pairs if fold_of[pair.context] == fold]


def fit_on(pairs: Sequence[JudgedPair]) -> Scaling:
    """Fit on every verdict that can be read, all of one pair weighing as much as all of another."""
    read = [(pair, one, p) for pair in pairs for one in pair.verdicts if (p := p_first_of(one)) is not None]
    n_read = Counter(pair.id for pair, _, _ in read)
    return fit_scaling(
        [p for _, _, p in read],
        [pair.truth if one.order == "ab" else 1.0 - pair.truth for pair, one, _ in read],
        [1.0 / n_read[pair.id] for pair, _, _ in read],
    )


def agrees(p_a: float, truth: float) -> float:
    """Say whether a label is people's: 1, 0, or a half where either is a tie."""
    return _EVEN if _EVEN in {p_a, truth} else float((p_a > _EVEN) == (truth > _EVEN))


def measure(labelled: Sequence[tuple[JudgedPair, float]]) -> LabelQuality:
    """Hold labels, each P(a is better), against what people say."""
    contexts = [pair.context for pair, _ in labelled]
    right = [agrees(p, pair.truth) for pair, p in labelled]
    true = [_of_likelier(p, pair.truth) for pair, p in labelled]
    # Rounded, or which side is called a decides by a last bit on which side of a bin's edge a probability falls.
    sure = [round(max(p, 1.0 - p), _DIGITS) for _, p in labelled]
    return LabelQuality(
        n=len(labelled),
        accuracy=rate_interval(right, groups=contexts),
        brier=mean_interval([(p - pair.truth) ** 2 for pair, p in labelled], groups=contexts, limits=(0.0, 1.0)),
        ece=expected_calibration_error(sure, true, n_bins=_BINS),
        ece_by_chance=error_of_true_probabilities(sure, n_bins=_BINS),
        bins=reliability_bins(sure, true, n_bins=_BINS),
    )


def _of_likelier(p_a: float, truth: float) -> float:
    """Say how surely people take the side that a label makes likelier; a half where it makes neither."""
    return _EVEN if p_a == _EVEN else truth if p_a > _EVEN else 1.0 - truth


def _labelled(pairs: Sequence[JudgedPair], reading: LetterReading) -> list[tuple[JudgedPair, float]]:
    """Label pairs, of which each has a vote: whether it has does not hang on how verdicts are read."""
    return [(pair, p_a) for pair in pairs if (p_a := pair.p_a(reading)) is not None]
