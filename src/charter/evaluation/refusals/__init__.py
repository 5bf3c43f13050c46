"""Refusals in answers that a person brings: read by rules, held against people's labels, and read by a judge."""

from charter.evaluation.answers import Answer, Answers, Columns
from charter.evaluation.descriptions import make_reader
from charter.evaluation.refusals.figures import (
    JudgeFigures,
    RuleFigures,
    assess_judge,
    assess_rules,
    read_answers,
    said_by_rules,
)
from charter.evaluation.refusals.kinds import (
    DESCRIPTIONS,
    KINDS,
    KindReading,
    of_kind,
    read_kind_one,
    read_kinds,
)
from charter.evaluation.refusals.labels import NAMES, Scheme, load_answers, read_labels
from charter.evaluation.shares import Share

__all__ = [
    "DESCRIPTIONS",
    "KINDS",
    "NAMES",
    "Answer",
    "Answers",
    "Columns",
    "JudgeFigures",
    "KindReading",
    "RuleFigures",
    "Scheme",
    "Share",
    "assess_judge",
    "assess_rules",
    "load_answers",
    "make_reader",
    "of_kind",
    "read_answers",
    "read_kind_one",
    "read_kinds",
    "read_labels",
    "said_by_rules",
]
