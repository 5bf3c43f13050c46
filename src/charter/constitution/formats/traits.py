"""Trait JSON of character training: traits in the first person, each with questions that show it."""

from __future__ import annotations

from charter.constitution.formats.fields import Fields
from charter.constitution.formats.keys import QUESTIONS
from charter.constitution.formats.part import Part
from charter.constitution.formats.source import SourceFile

_TRAIT, _QUESTIONS = "trait", "questions"

NEEDS = "a list of mappings with a trait each"


def recognise(source: SourceFile) -> bool:
    """Tell whether a file has the layout."""
    data = source.data
    return isinstance(data, list) and any(isinstance(item, dict) and _TRAIT in item for item in data)


def read(source: SourceFile) -> Part:
    """Read a file of the layout."""
    fields = Fields(source.document)
    principles = []
    for path, entry in fields.listed(source.data):
        questions = [text for _, text in fields.texts(entry, _QUESTIONS, path)]
        metadata = fields.rest(entry, (_TRAIT, _QUESTIONS, "id"), path)
        principles.append(
            {
                "source_id": fields.name(entry, "id", path),
                "text": fields.text(entry, _TRAIT, path),
                "metadata": {**metadata, **({QUESTIONS: questions} if questions else {})},
            }
        )
    fields.finish()
    return Part(source=source.document.source, principles=tuple(principles))
