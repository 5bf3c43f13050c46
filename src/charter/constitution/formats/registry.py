"""Registry JSON, schema 1.1 (and what came later): comparative criteria with everything about their tradition.

A criterion is a choice question. Later files give it as a mapping with its reasoning and scenarios: the scenarios are
prompts, and kept as the principle's questions.
"""

from __future__ import annotations

import re
from typing import Any

from charter.constitution.faults import shown
from charter.constitution.formats.fields import Fields
from charter.constitution.formats.keys import QUESTIONS
from charter.constitution.formats.part import Part
from charter.constitution.formats.source import SourceFile
from charter.files.yaml_reading import ValuePath

_CRITERIA, _QUESTION, _SCENARIOS = "criteria", "comparative", "scenarios"
_VERSION = re.compile(
    r"[vV]?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?((?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)", re.ASCII
)

NEEDS = f"a mapping with a list of {_CRITERIA}"


def recognise(source: SourceFile) -> bool:
    """Tell whether a file has the layout."""
    return isinstance(source.data, dict) and isinstance(source.data.get(_CRITERIA), list)


def read(source: SourceFile) -> Part:
    """Read a file of the layout."""
    fields, data = Fields(source.document), source.data
    principles = [_principle(fields, item, path) for path, item in fields.items(data, _CRITERIA)]
    raw = data.get("version")
    version = semantic_version(raw)
    about = {
        "name": fields.name(data, "id", ()),
        "version": version,
        "description": fields.text(data, "summary", (), default=""),
        "licence": fields.text(data, "license", (), default=""),
    }
    metadata = fields.rest(data, ("id", _CRITERIA, "summary", "license", *(("version",) if raw == version else ())))
    fields.finish()
    return Part(
        source=source.document.source,
        principles=tuple(principles),
        about={key: value for key, value in about.items() if value},
        metadata=metadata,
    )


def semantic_version(raw: Any) -> str:
    """Write a version as three numbers: ``1.1`` and ``v1.1`` are 1.1.0; empty for what is none."""
    found = _VERSION.fullmatch(str(raw).strip()) if isinstance(raw, str | int | float) else None
    if found is None:
        return ""
    return ".".join(str(int(part or 0)) for part in found.groups()[:3]) + found[4]


def _principle(fields: Fields, item: Any, path: ValuePath) -> dict[str, Any]:
    if isinstance(item, dict):
        metadata = fields.rest(item, (_QUESTION, _SCENARIOS), path)
        scenarios = [text for _, text in fields.texts(item, _SCENARIOS, path)]
        return {
            "choice_question": fields.text(item, _QUESTION, path),
            "metadata": {**metadata, **({QUESTIONS: scenarios} if scenarios else {})},
        }
    if not isinstance(item, str) or not item.strip():
        fields.fault(path, f"criterion {int(path[-1]) + 1} is {shown(item)}; expected a text that says what to prefer")
    return {"choice_question": item}
