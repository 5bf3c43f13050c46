"""Preference data by itself, before anybody trains on it: confounds, duplicates, contradictions, coverage, labels."""

from charter.evaluation.preference_data.assessing import DataQuality, assess_preferences, flags_of_rows
from charter.evaluation.preference_data.confounds import (
    LengthRule,
    StyleConfound,
    measure_lengths,
    measure_styles,
)
from charter.evaluation.preference_data.coverage import (
    Coverage,
    LabelFigures,
    PrincipleVotes,
    measure_coverage,
    measure_labels,
)
from charter.evaluation.preference_data.guessing import Guess, Guesses, guess_labels
from charter.evaluation.preference_data.repeats import Repeats, find_repeats
from charter.evaluation.preference_data.rows import PreferenceData, data_of_labels, data_of_pairs

__all__ = [
    "Coverage",
    "DataQuality",
    "Guess",
    "Guesses",
    "LabelFigures",
    "LengthRule",
    "PreferenceData",
    "PrincipleVotes",
    "Repeats",
    "StyleConfound",
    "assess_preferences",
    "data_of_labels",
    "data_of_pairs",
    "find_repeats",
    "flags_of_rows",
    "guess_labels",
    "measure_coverage",
    "measure_labels",
    "measure_lengths",
    "measure_styles",
]
