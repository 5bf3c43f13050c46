"""All that is measured of preference data, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from charter.evaluation.preference_data.confounds import LengthRule, StyleConfound, measure_lengths, measure_styles
from charter.evaluation.preference_data.coverage import Coverage, LabelFigures, measure_coverage, measure_labels
from charter.evaluation.preference_data.guessing import Guesses, guess_labels
from charter.evaluation.preference_data.repeats import Repeats, find_repeats
from charter.evaluation.preference_data.rows import PreferenceData
from charter.evaluation.preference_data.warning import (
    warn_of_guesses,
    warn_of_labels,
    warn_of_length,
    warn_of_repeats,
    warn_of_styles,
)
from charter.feedback.settling import is_tie
from charter.prompts.near_duplicates import DEFAULT_THRESHOLD
from charter.statistics import holm


@dataclass(frozen=True)
class DataQuality:
    """What preferences are worth to a training, before there is one.

    Attributes:
        warnings: what would spoil it, in words; none where nothing was found.
        lengths: in characters and in words; their p-values and those of the guesses are adjusted together.
        styles: every mark of style, the one that tells most first.
        guesses: of labels, without understanding; None of too few prompts.
        repeats: duplicates and contradictions.
        coverage: what the pairs are about.
        labels: what the labels say.
    """

    warnings: tuple[str, ...]
    lengths: list[LengthRule]
    styles: list[StyleConfound]
    guesses: Guesses | None
    repeats: Repeats
    coverage: Coverage
    labels: LabelFigures


def assess_preferences(data: PreferenceData, *, threshold: float = DEFAULT_THRESHOLD, seed: int = 0) -> DataQuality:
    """Assess preferences before anybody trains on them; every interval is over groups of prompts.

    Args:
        data: the preferences (see ``data_of_pairs`` and ``data_of_labels``).
        threshold: of near-duplicates.
        seed: of what is drawn where labels are guessed.

    Raises:
        PromptError: for a threshold out of bounds.
    """
    repeats = find_repeats(data, threshold=threshold)
    styles = measure_styles(data)
    lengths, guesses = _adjusted(measure_lengths(data), guess_labels(data, seed=seed))
    coverage, labels = measure_coverage(data), measure_labels(data)
    warnings = (
        *warn_of_length(lengths),
        *warn_of_styles(styles, coverage.n),
        *warn_of_guesses(guesses),
        *warn_of_repeats(repeats),
        *warn_of_labels(labels, coverage),
    )
    return DataQuality(warnings, lengths, styles, guesses, repeats, coverage, labels)


def _adjusted(lengths: list[LengthRule], guesses: Guesses | None) -> tuple[list[LengthRule], Guesses | None]:
    """Adjust the p-values of all rules that read nothing for their number: they stand beside one another."""
    guessed = [] if guesses is None else [guesses.words, guesses.length]
    p_values = holm([*(one.p_value for one in lengths), *(one.p_value for one in guessed)])
    told = [replace(one, p_value=p_value) for one, p_value in zip(lengths, p_values, strict=False)]
    if guesses is None:
        return told, None
    words, length = (
        replace(one, p_value=p_value) for one, p_value in zip(guessed, p_values[len(lengths) :], strict=True)
    )
    return told, Guesses(words, length)


def flags_of_rows(data: PreferenceData, repeats: Repeats) -> list[tuple[int, Mapping[str, str]]]:
    """Name the rows that are worth a look, by their number from 0: flags, each with the id of the other row, or ''."""
    found: list[tuple[int, Mapping[str, str]]] = []
    for number, row in enumerate(data.rows):
        flags = {**repeats.flagged.get(row.id, {}), **({"tie": ""} if is_tie(row.p_chosen) else {})}
        if flags:
            found.append((number, flags))
    return found
