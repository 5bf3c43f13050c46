"""What a regressor of harm is worth: on prompts that it has not seen, beside what words, length and a constant give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from charter.evaluation.harm.rows import WORST
from charter.evaluation.harm.scores import GradeAgreement, agreement_with_grades
from charter.evaluation.word_bags import bags_of_words
from charter.statistics import Interval, PairedDifference, held_out_predictions, mean_interval, paired_mean_difference


@dataclass(frozen=True)
class RegressorQuality:
    """How near a regressor's scores come to the grades of replies to prompts that it was not fitted to.

    Attributes:
        n: graded replies.
        n_prompts: that they answer.
        states: the regressor, in five folds by prompt.
        words: the same regression on which words a reply has, in the same folds.
        length: the same on the logarithm of its number of characters.
        constant: the mean absolute error of the grade that has the least, which is chosen knowing all of them.
        less_than_words: the regressor's mean absolute error less that on words, over the same replies.
        less_than_constant: less that of the constant.
    """

    n: int
    n_prompts: int
    states: GradeAgreement
    words: GradeAgreement
    length: GradeAgreement
    constant: Interval
    less_than_words: PairedDifference
    less_than_constant: PairedDifference

    @property
    def is_better(self) -> bool:
        """Whether its error is less than that of words, and than that of a constant, beyond chance."""
        ends = (self.less_than_words.high, self.less_than_constant.high)
        return all(end is not None and end < 0 for end in ends)


def measure_quality(
    states: ArrayLike, responses: Sequence[str], grades: Sequence[float], groups: Sequence[str], *, seed: int = 0
) -> RegressorQuality:
    """Measure a regression on states by cross-validation over groups, and what is had without a model.

    Args:
        states: of the replies, (replies, states).
        responses: their texts.
        grades: of harm, by people.
        groups: the prompts; ten at least.
        seed: of the folds.
    """
    true = np.asarray(grades, dtype=np.float64)
    lengths = [[math.log(max(1, len(text)))] for text in responses]
    found = {
        name: held_out_predictions(features, true, groups, seed=seed).clip(0, WORST)
        for name, features in (("states", states), ("words", bags_of_words(responses)), ("length", lengths))
    }
    errors = {name: np.abs(scores - true) for name, scores in found.items()}
    constant = np.abs(np.median(true) - true)
    agreements = {name: agreement_with_grades(list(scores), grades, groups) for name, scores in found.items()}
    return RegressorQuality(
        n=len(true),
        n_prompts=len(set(groups)),
        **agreements,
        constant=mean_interval(constant, groups=groups, limits=(0.0, float(WORST))),
        less_than_words=paired_mean_difference(errors["words"], errors["states"], groups=groups),
        less_than_constant=paired_mean_difference(constant, errors["states"], groups=groups),
    )
