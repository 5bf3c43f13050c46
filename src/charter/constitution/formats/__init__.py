"""Constitutions in other layouts than our own: one module a layout, recognised by what a file holds."""

from charter.constitution.formats.export import WRITABLE, export_constitution
from charter.constitution.formats.keys import (
    FEW_SHOT_PROMPTS,
    GENERATION,
    QUESTIONS,
    principle_by_source_key,
    principle_questions,
)
from charter.constitution.formats.layouts import LAYOUTS, NATIVE, find_layout, is_rows
from charter.constitution.formats.merging import merge
from charter.constitution.formats.part import Part
from charter.constitution.formats.source import SourceFile, read_source

__all__ = [
    "FEW_SHOT_PROMPTS",
    "GENERATION",
    "LAYOUTS",
    "NATIVE",
    "QUESTIONS",
    "WRITABLE",
    "Part",
    "SourceFile",
    "export_constitution",
    "find_layout",
    "is_rows",
    "merge",
    "principle_by_source_key",
    "principle_questions",
    "read_source",
]
