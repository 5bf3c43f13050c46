"""What tells chosen from rejected answers without reading them: their length, and marks of style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from charter.evaluation.preference_data.rows import PreferenceData
from charter.given.lengths import Unit, compare_lengths
from charter.statistics import (
    TIE,
    Interval,
    PairedDifference,
    even_test,
    holm,
    paired_rate_difference,
    rate_interval,
    rate_of,
)
from charter.text_quality.style import STYLES

UNITS: tuple[Unit, ...] = ("characters", "words")


@dataclass(frozen=True)
class LengthRule:
    """How far the length of answers agrees with the labels.

    Attributes:
        unit: what is counted.
        chosen_longer: the share of pairs whose chosen answer is the longer one.
        chosen_shorter: whose chosen answer is the shorter one.
        longer_is_better: how often that rule gives the label; answers of one length count a half.
        shorter_is_better: the same of the opposite rule.
        p_value: of a length that says nothing.
        median_ratio: of chosen to rejected.
    """

    unit: Unit
    chosen_longer: Interval
    chosen_shorter: Interval
    longer_is_better: Interval
    shorter_is_better: Interval
    p_value: float
    median_ratio: float


@dataclass(frozen=True)
class StyleConfound:
    """How often chosen and rejected answers have one mark of style.

    Attributes:
        name: of the mark (see ``text_quality.style``).
        chosen: the share of chosen answers that have it.
        rejected: of rejected ones.
        difference: chosen less rejected, pair by pair; its p-value is adjusted for all marks.
        n_apart: pairs of which one answer alone has it.
        with_it: of these, the share whose chosen answer has it; None where there are none.
    """

    name: str
    chosen: Interval
    rejected: Interval
    difference: PairedDifference
    n_apart: int
    with_it: Interval | None


def measure_lengths(data: PreferenceData) -> list[LengthRule]:
    """Measure how far length agrees with the labels, in characters and in words."""
    return [_length_rule(data, unit) for unit in UNITS]


def measure_styles(data: PreferenceData) -> list[StyleConfound]:
    """Measure every mark of style on both sides, the one that tells most first."""
    found = [_style(data, name) for name in STYLES]
    p_values = holm([one.difference.p_value for one in found])
    told = [
        replace(one, difference=replace(one.difference, p_value=p_value))
        for one, p_value in zip(found, p_values, strict=True)
    ]
    return sorted(told, key=lambda one: -abs(one.difference.difference))


def _length_rule(data: PreferenceData, unit: Unit) -> LengthRule:
    count = len if unit == "characters" else _n_words
    lengths = [(count(row.chosen), count(row.rejected)) for row in data.rows]
    # Of numbers that are all of one pair there is a comparison always: rows are one at least.
    compared = compare_lengths(lengths, unit)
    assert compared is not None  # noqa: S101 - as said above
    wins = [_win(chosen, rejected) for chosen, rejected in lengths]
    bound = partial(rate_interval, groups=data.groups)
    return LengthRule(
        unit=unit,
        chosen_longer=bound([win == 1.0 for win in wins]),
        chosen_shorter=bound([win == 0.0 for win in wins]),
        longer_is_better=bound(wins),
        shorter_is_better=bound([1.0 - win for win in wins]),
        p_value=even_test(wins, groups=data.groups)[0],
        median_ratio=compared.median_ratio,
    )


def _n_words(text: str) -> int:
    return len(text.split())


def _win(chosen: int, rejected: int) -> float:
    return TIE if chosen == rejected else float(chosen > rejected)


def _style(data: PreferenceData, name: str) -> StyleConfound:
    has = STYLES[name]
    chosen, rejected = [has(row.chosen) for row in data.rows], [has(row.rejected) for row in data.rows]
    return StyleConfound(
        name=name,
        chosen=rate_interval(chosen, groups=data.groups),
        rejected=rate_interval(rejected, groups=data.groups),
        difference=paired_rate_difference(rejected, chosen, groups=data.groups),
        n_apart=sum(one != other for one, other in zip(chosen, rejected, strict=True)),
        with_it=_where_one_has_it(chosen, rejected, data.groups),
    )


def _where_one_has_it(chosen: Sequence[bool], rejected: Sequence[bool], groups: Sequence[str]) -> Interval | None:
    apart = [
        (float(one), group) for one, other, group in zip(chosen, rejected, groups, strict=True) if one is not other
    ]
    return rate_of(apart)
