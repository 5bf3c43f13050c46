"""Refusals in answers that a person brings: read by rules, held against people's labels, and read by a judge."""

from charter.evaluation.refusals.answers import Answer, Answers, Columns, load_answers
from charter.evaluation.refusals.figures import (
    JudgeFigures,
    RuleFigures,
    Share,
    assess_judge,
    assess_rules,
    read_answers,
    said_by_rules,
)
from charter.evaluation.refusals.kinds import (
    DESCRIPTIONS,
    KINDS,
    KindReading,
    cyclic_orders,
    make_reader,
    of_kind,
    read_kind_one,
    read_kinds,
)
from charter.evaluation.refusals.labels import NAMES, Scheme, read_labels

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
    "cyclic_orders",
    "load_answers",
    "make_reader",
    "of_kind",
    "read_answers",
    "read_kind_one",
    "read_kinds",
    "read_labels",
    "said_by_rules",
]
