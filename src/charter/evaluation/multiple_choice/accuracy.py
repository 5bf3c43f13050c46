"""How many questions were answered right, how calibrated the answers are, and what would be right without reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import fmean

from charter.evaluation.measuring import measure
from charter.evaluation.multiple_choice.answering import ChoiceAnswer
from charter.evaluation.multiple_choice.questions import ChoiceRow
from charter.records import Measurement
from charter.statistics import Interval, expected_calibration_error, rate_interval
from charter.statistics.agreement import error_of_true_probabilities


@dataclass(frozen=True)
class ChoiceQuality:
    """How good answers to the questions of one file are.

    Attributes:
        accuracy: the share of right answers, questions of one context taken whole.
        ece: the expected calibration error of the answers' probabilities.
        ece_by_chance: what it would be of as many answers if the probabilities were true: on average, and in 95 % of
            draws at most.
        baselines: what would be right by a rule that reads nothing: chance, a place, the longest or shortest option.
        n_both_orders: questions that were asked in both orders.
        same_place: of these, the share whose likeliest option was at the same place in both orders, questions of one
            context taken whole; None of none.
        n_unread: questions without any reading, which count as wrong.
    """

    accuracy: Interval
    ece: float
    ece_by_chance: tuple[float, float]
    baselines: Mapping[str, float]
    n_both_orders: int
    same_place: Interval | None
    n_unread: int


def assess(rows: Sequence[ChoiceRow], answers: Sequence[ChoiceAnswer]) -> ChoiceQuality:
    """Assess one model's answers.

    Args:
        rows: the questions.
        answers: to some of them, at least one.
    """
    questions = {row.id: row for row in rows}
    asked = [questions[one.id] for one in answers]
    outcomes, sure = [one.correct for one in answers], [one.p_answer for one in answers]
    in_orders = [one for one in answers if len({reading.place for reading in one.readings}) > 1]
    return ChoiceQuality(
        accuracy=rate_interval(outcomes, groups=contexts_of(asked)),
        ece=expected_calibration_error(sure, outcomes),
        ece_by_chance=error_of_true_probabilities(sure),
        baselines=baselines(asked),
        n_both_orders=len(in_orders),
        same_place=_same_place(in_orders, [questions[one.id] for one in in_orders]),
        n_unread=sum(not one.p for one in answers),
    )


def _same_place(answers: Sequence[ChoiceAnswer], asked: Sequence[ChoiceRow]) -> Interval | None:
    if not answers:
        return None
    return rate_interval([float(_keeps_place(one)) for one in answers], groups=contexts_of(asked))


def contexts_of(rows: Sequence[ChoiceRow]) -> list[str] | None:
    """Give the questions' contexts; None where they all have one, which then is an instruction."""
    contexts = [row.context for row in rows]
    return contexts if len(set(contexts)) > 1 else None


def baselines(rows: Sequence[ChoiceRow]) -> dict[str, float]:
    """Say what would be right without reading: a place of the file's order, chance, and the options' lengths.

    Lengths are told where every question shows its options; of options of one length each counts its part.
    """
    found = {
        "chance": fmean(len(row.corrects) / len(row.letters) for row in rows),
        "first option": fmean(row.letters[0] in row.corrects for row in rows),
        "last option": fmean(row.letters[-1] in row.corrects for row in rows),
    }
    if all(row.options for row in rows):
        found["longest option"] = fmean(_right_by_length(row, max) for row in rows)
        found["shortest option"] = fmean(_right_by_length(row, min) for row in rows)
    return found


def measure_accuracy(
    file: str, rows: Sequence[ChoiceRow], answers: Mapping[str, Sequence[ChoiceAnswer]], *, base: str
) -> list[Measurement]:
    """Measure each model's share of right answers on one file; questions of one context are resampled together.

    Where all questions have the same context it is an instruction, and they count as independent.
    """
    values = {model: {one.id: one.correct for one in found} for model, found in answers.items()}
    name = f"multiple_choice:{Path(file).name}"
    groups = {row.id: row.context for row in rows} if contexts_of(rows) is not None else None
    return measure(name, values, subset=Path(file).name, base=base, better="higher", rows=file, groups=groups)


def _right_by_length(row: ChoiceRow, which: Callable[..., int]) -> Fraction:
    lengths = dict(zip(row.letters, map(len, row.options), strict=True))
    taken = [letter for letter, length in lengths.items() if length == which(lengths.values())]
    return Fraction(sum(letter in row.corrects for letter in taken), len(taken))


def _keeps_place(answer: ChoiceAnswer) -> bool:
    """Tell whether the likeliest option stood at the same place in every order."""
    by_order: dict[tuple[int, ...], list[tuple[float, ...]]] = {}
    for one in answer.readings:
        by_order.setdefault(one.place, []).append(one.p)
    places = set()
    for place, shares in by_order.items():
        sums = [sum(option) for option in zip(*shares, strict=True)]
        places.add(place[sums.index(max(sums))])
    return len(places) == 1
