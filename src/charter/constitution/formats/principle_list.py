"""Principle lists as JSON, in three variants: with titles, with explanations, or with requests."""

from __future__ import annotations

from typing import Any

from charter.constitution.derivation import derived_fields
from charter.constitution.formats.fields import Fields
from charter.constitution.formats.part import Part
from charter.constitution.formats.source import SourceFile
from charter.constitution.model import Constitution, Principle, Use
from charter.files.yaml_reading import ValuePath

_NAMING = ("title", "description", "principle", "explanation")
_KEYS = ("id", *_NAMING, "category", "critique", "revision")

NEEDS = "a list of mappings with a description, a principle or a title each"


def recognise(source: SourceFile) -> bool:
    """Tell whether a file has the layout."""
    data = source.data
    return isinstance(data, list) and any(
        isinstance(item, dict) and any(key in item for key in _NAMING) for item in data
    )


def read(source: SourceFile) -> Part:
    """Read a file of any of the three variants."""
    fields = Fields(source.document)
    principles = [_principle(fields, entry, path) for path, entry in fields.listed(source.data)]
    fields.finish()
    return Part(source=source.document.source, principles=tuple(principles))


def write(constitution: Constitution) -> tuple[Any, list[tuple[int, tuple[Use, ...]]]]:
    """Give the layout's values, and for each principle in them whose it is and what it is used for.

    The variant with requests is written where a principle brings requests of its own.
    """
    with_requests = any(
        name not in derived_fields(one)
        for one in constitution.principles
        for name in ("critique_request", "revision_request")
    )
    write_one = _with_requests if with_requests else _with_text
    data = [write_one(one) for one in constitution.principles]
    return data, [(number, ("revise", "judge")) for number in range(len(data))]


def _principle(fields: Fields, entry: dict[str, Any], path: ValuePath) -> dict[str, Any]:
    """Read one entry: ``principle`` is its title where an explanation or a description follows, else its text."""
    given = {key: text for key in _NAMING if (text := fields.text(entry, key, path, default="")).strip()}
    text_key = next((key for key in ("description", "explanation", "principle", "title") if key in given), "")
    title_key = next((key for key in ("title", "principle") if key in given and key != text_key), "")
    if not text_key:
        fields.fault(path, "the principle says nothing; give it a description")
    others = {key: text for key, text in given.items() if key not in (text_key, title_key)}
    return {
        "source_id": fields.name(entry, "id", path),
        "title": given.get(title_key, ""),
        "text": given.get(text_key, ""),
        "category": fields.text(entry, "category", path, default=""),
        "critique_request": fields.text(entry, "critique", path, default=""),
        "revision_request": fields.text(entry, "revision", path, default=""),
        "source": _source(entry.get("references")),
        "metadata": {**others, **fields.rest(entry, _KEYS, path)},
    }


def _source(references: Any) -> str:
    if isinstance(references, list) and all(isinstance(item, str) for item in references):
        return "; ".join(references)
    return references if isinstance(references, str) else ""


def _with_text(principle: Principle) -> dict[str, Any]:
    category = {"category": principle.category} if principle.category else {}
    return {
        "id": _source_id(principle),
        "title": principle.title,
        "description": principle.text,
        **category,
        **_extras(principle),
    }


def _with_requests(principle: Principle) -> dict[str, Any]:
    return {
        "id": _source_id(principle),
        **({"title": principle.title} if principle.title else {}),
        "principle": principle.text,
        "critique": principle.critique_request,
        "revision": principle.revision_request,
        **({"category": principle.category} if principle.category else {}),
        **_extras(principle),
    }


def _source_id(principle: Principle) -> str | int:
    own = principle.source_id or principle.id
    return int(own) if own.isascii() and own.isdigit() and str(int(own[:18])) == own else own


def _extras(principle: Principle) -> dict[str, Any]:
    """Give back what other keys the file had."""
    return {key: value for key, value in principle.metadata.items() if key not in _KEYS}
