"""Constitutions: what they are, reading and writing them, checking them, and the built-in ones."""

from charter.constitution.diff import ConstitutionDiff, diff_constitutions
from charter.constitution.lint import check_constitution
from charter.constitution.model import (
    Constitution,
    FewShots,
    JudgeExample,
    Principle,
    ReviseExample,
    SystemTexts,
)
from charter.constitution.reading import list_constitutions, load_constitution
from charter.constitution.writing import write_constitution

__all__ = [
    "Constitution",
    "ConstitutionDiff",
    "FewShots",
    "JudgeExample",
    "Principle",
    "ReviseExample",
    "SystemTexts",
    "check_constitution",
    "diff_constitutions",
    "list_constitutions",
    "load_constitution",
    "write_constitution",
]
