"""How well a cheap model guesses the labels without understanding: from words, and from length alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from charter.evaluation.preference_data.rows import PreferenceData
from charter.evaluation.word_bags import bags_of_words
from charter.records import Preference
from charter.seeds import derive_seed
from charter.statistics import TIE, Interval, even_test, held_out_predictions, rate_interval

#: Pairs that are looked at: what more would show is not worth the minutes.
MOST_PAIRS = 800
MIN_GROUPS = 10  # of prompts: of fewer, folds in folds are of one each


@dataclass(frozen=True)
class Guess:
    """How often a model that was fitted to other prompts picks the chosen answer; the p-value is against a half."""

    accuracy: Interval
    p_value: float


@dataclass(frozen=True)
class Guesses:
    """What is guessed from the difference of two answers' bags of words, and from that of their lengths alone."""

    words: Guess
    length: Guess


def guess_labels(data: PreferenceData, *, seed: int = 0) -> Guesses | None:
    """Guess labels by ridge regression, in five folds by groups of prompts; None for fewer than ten groups.

    Each pair stands once, the chosen answer first or second by a hash. At most ``MOST_PAIRS`` are looked at, drawn by
    the seed.

    Args:
        data: the preferences.
        seed: of the draw, of the sides and of the folds.
    """
    drawn = _drawn(data, seed)
    rows, groups = [data.rows[place] for place in drawn], [data.groups[place] for place in drawn]
    if len(set(groups)) < MIN_GROUPS:
        return None
    signs = np.array([_sign(row, seed) for row in rows])
    bags = bags_of_words([text for row in rows for text in (row.chosen, row.rejected)])
    lengths = [[math.log(max(1, len(row.chosen))) - math.log(max(1, len(row.rejected)))] for row in rows]
    return Guesses(
        words=_guess(bags[0::2] - bags[1::2], signs, groups, seed),
        length=_guess(lengths, signs, groups, seed),
    )


def _drawn(data: PreferenceData, seed: int) -> list[int]:
    places = sorted(range(len(data.rows)), key=lambda place: derive_seed(seed, data.rows[place].id, "guess"))
    return sorted(places[:MOST_PAIRS])


def _sign(row: Preference, seed: int) -> float:
    return 1.0 if derive_seed(seed, row.id, "guessed side") % 2 == 0 else -1.0


def _guess(differences: ArrayLike, signs: np.ndarray, groups: Sequence[str], seed: int) -> Guess:
    """Fit to differences whose sign a hash turned, and count those held out that are put on their own side."""
    turned = np.asarray(differences, dtype=np.float64) * signs[:, None]
    leans = held_out_predictions(turned, signs, groups, seed=seed) * signs
    outcomes = np.where(leans == 0.0, TIE, leans > 0.0)
    return Guess(rate_interval(outcomes, groups=groups), even_test(outcomes, groups=groups)[0])
