"""What a reply's harm comes to: a score from 0 to 4, whoever gives it, and what the scores of many replies say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from charter.errors import PromptError
from charter.evaluation.answers import Answer, Answers, Columns, load_answers
from charter.evaluation.harm.rows import WORST, GradedReply
from charter.evaluation.multiple_choice import OptionReading
from charter.evaluation.shares import Share, shares_of
from charter.prompts.grouping import normalise_text
from charter.records import Message, Record, Response
from charter.statistics import Interval, mean_interval, rank_correlation, statistic_interval

#: The grades of harm, from harmless to the worst.
GRADES = tuple(range(WORST + 1))
_QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Reply:
    """A reply whose harm is asked after; replies of one ``group`` hang together."""

    id: str
    turns: tuple[Message, ...]
    response: str
    group: str


class HarmScore(Record):
    """How harmful a reply is: ``score`` is from 0 (harmless) to 4 (the worst), None where ``invalid`` says why.

    Of a judge ``p`` are the grades' probabilities, whose mean the score is, and ``orders`` what each order of the
    options gave.
    """

    id: str
    score: float | None
    invalid: str = ""
    p: tuple[float, ...] = ()
    orders: tuple[OptionReading, ...] = ()


@dataclass(frozen=True)
class GradeAgreement:
    """How near scores come to grades: Spearman's rank correlation, the mean absolute error, and the mean of both.

    ``bias`` is the scores' mean less that of the grades.
    """

    rank_correlation: Interval
    error: Interval
    bias: Interval


@dataclass(frozen=True)
class HarmFigures:
    """What the scores of replies come to.

    Attributes:
        mean: of the scores.
        grades: the shares of replies whose score is nearest to a grade.
        quartiles: the least score, the quartiles, and the greatest.
        with_grades: how near they come to people's grades; None where no reply that was scored has one.
    """

    mean: Interval
    grades: Mapping[int, Share]
    quartiles: tuple[float, ...]
    with_grades: GradeAgreement | None


def replies_of_answers(answers: Iterable[Answer]) -> list[Reply]:
    """Take the answers of a file."""
    return [Reply(one.id, one.turns, one.response, one.group) for one in answers]


def replies_of_responses(responses: Iterable[Response], groups: Mapping[str, str]) -> list[Reply]:
    """Take a model's answers to prompts whose groups are given by the prompts' ids."""
    return [Reply(one.id, one.prompt.turns, one.text, groups[one.prompt.id]) for one in responses]


def replies_of_graded(rows: Iterable[GradedReply]) -> list[Reply]:
    """Take graded replies; those to one prompt hang together."""
    return [
        Reply(one.id, (Message(role="user", content=one.prompt),), one.response, normalise_text(one.prompt))
        for one in rows
    ]


def load_graded_answers(path: str, columns: Columns) -> Answers[Literal["grades"]]:
    """Read the answers of a file, with people's grades of harm where a column of labels is named.

    Raises:
        PromptError: as ``evaluation.answers.load_answers``; for a label that is no number from 0 to 4.
    """
    return load_answers(path, columns, read_grades)


def read_grades(cells: Iterable[tuple[Any, str]], column: str) -> tuple[list[str | None], Literal["grades"] | None]:
    """Read a column of grades, each a number from 0 to 4; several people's mean may lie between two.

    Raises:
        PromptError: naming the place and the value.
    """
    found = [_grade(value, place, column) for value, place in cells]
    return found, "grades" if any(one is not None for one in found) else None


def _grade(value: Any, place: str, column: str) -> str | None:
    if value is None or not str(value).strip() or (isinstance(value, float) and math.isnan(value)):
        return None
    try:
        grade = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        grade = math.nan
    if not 0 <= grade <= WORST:
        raise PromptError(f"{place}: {column!r} is {value!r}; expected a grade from 0 (harmless) to {WORST}")
    return f"{grade:g}"


def assess_scores(
    replies: Sequence[Reply], scores: Sequence[HarmScore], grades: Mapping[str, float] | None = None
) -> HarmFigures | None:
    """Assess the scores of replies, of which some may have none; None where no reply has one.

    Args:
        replies: that were scored, with their groups.
        scores: of some of them.
        grades: what people say, by reply id; None without any.
    """
    group_of = {one.id: one.group for one in replies}
    given = {one.id: one.score for one in scores if one.score is not None}
    if not given:
        return None
    values, groups = list(given.values()), [group_of[reply] for reply in given]
    both = [reply for reply in given if reply in (grades or {})]
    return HarmFigures(
        mean=mean_interval(values, groups=groups, limits=(0.0, float(WORST))),
        grades=shares_of([nearest_grade(value) for value in values], GRADES, groups),
        quartiles=tuple(float(one) for one in np.quantile(values, _QUARTERS)),
        with_grades=agreement_with_grades(
            [given[reply] for reply in both], [(grades or {})[reply] for reply in both], [group_of[one] for one in both]
        )
        if both
        else None,
    )


def nearest_grade(score: float) -> int:
    """Give the grade that a score is nearest to; halves go up."""
    return min(WORST, math.floor(score + 0.5))


def agreement_with_grades(scores: Sequence[float], grades: Sequence[float], groups: Sequence[str]) -> GradeAgreement:
    """Hold at least one score against the grade of the same reply; replies of one group hang together."""
    given, true = np.asarray(scores, dtype=np.float64), np.asarray(grades, dtype=np.float64)
    return GradeAgreement(
        rank_correlation=statistic_interval(
            lambda rows: rank_correlation(given[rows], true[rows]), len(given), groups=groups, limits=(-1.0, 1.0)
        ),
        error=mean_interval(np.abs(given - true), groups=groups, limits=(0.0, float(WORST))),
        bias=mean_interval(given - true, groups=groups),
    )
