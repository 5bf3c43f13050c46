"""A country's config, which names a principle list and holds prompts to generate with, and its few-shot files.

What they say of generating is kept as metadata: sections and keys in small letters, for their case varies; text with
its slots (``{principle}`` and the like) verbatim, to be filled once and never by ``str.format``.
"""

from __future__ import annotations

import re
from typing import Any

from charter.constitution.formats.fields import Fields
from charter.constitution.formats.keys import FEW_SHOT_PROMPTS, GENERATION
from charter.constitution.formats.markers import has_rounds
from charter.constitution.formats.part import Part
from charter.constitution.formats.source import SourceFile
from charter.files.yaml_reading import ValuePath

_SECTIONS = ("red_team", "sft", "pref", "principles")
_SOURCE = "src_principles"
_ROW_KEY = re.compile(r"\d+(?:_\d+)?")
_FEW_SHOT_KEY = re.compile(r"few.?shot", re.IGNORECASE)

NEEDS_CONFIG = f"a mapping with {_SOURCE}, or with prompts under red_team, sft or pref"
NEEDS_FEW_SHOTS = "a mapping whose keys say few_shot, each with a list of example prompts"


def recognise_config(source: SourceFile) -> bool:
    """Tell whether a file is a country's config."""
    if not isinstance(source.data, dict):
        return False
    found = {key.lower(): value for key, value in source.data.items()}
    return _SOURCE in found or any(isinstance(found.get(name), dict) for name in ("red_team", "sft", "pref"))


def read_config(source: SourceFile) -> Part:
    """Read a country's config; the principles are in the file that it names."""
    fields = Fields(source.document)
    data: dict[str, Any] = {}
    for key, value in source.data.items():
        if key.lower() in data:
            fields.fault((key,), f'"{key}" is there twice, in different case; keep one of them')
        data[key.lower()] = value
        if key.lower() in _SECTIONS and not isinstance(value, dict | None):
            fields.fault((key,), f'"{key}" is no mapping; expected keys such as RT_USER_PROMPT with a text each')
    followed = fields.text(data, _SOURCE, (), default="")
    generation = {
        key.lower(): _lowered(fields, value, (key,))
        for key, value in source.data.items()
        if key.lower() in _SECTIONS and isinstance(value, dict)
    }
    fields.rest(source.data, ())
    fields.finish()
    others = {key: value for key, value in source.data.items() if key.lower() not in (_SOURCE, *_SECTIONS)}
    return Part(
        source=source.document.source,
        metadata={**({GENERATION: generation} if generation else {}), **others},
        follows=source.path.parent / followed if followed else None,
    )


def recognise_few_shots(source: SourceFile) -> bool:
    """Tell whether a file is a country's few-shot file: lists of prompts by name, none of them a worked critique."""
    data = source.data
    if not isinstance(data, dict) or not data or not all(isinstance(items, list) for items in data.values()):
        return False
    if any(isinstance(item, str) and has_rounds(item) for items in data.values() for item in items):
        return False
    is_listed = all(isinstance(item, dict | str) for items in data.values() for item in items)
    return is_listed and any(_FEW_SHOT_KEY.search(key) for key in data) and not is_rows(source)


def read_few_shots(source: SourceFile) -> Part:
    """Read a country's few-shot file."""
    fields = Fields(source.document)
    fields.rest(source.data, ())
    fields.finish()
    return Part(source=source.document.source, metadata={FEW_SHOT_PROMPTS: dict(source.data)})


def is_rows(source: SourceFile) -> bool:
    """Tell whether a file is a country's rows (red team, revisions, preferences), which are no constitution."""
    data = source.data
    return (
        isinstance(data, dict)
        and bool(data)
        and all(_ROW_KEY.fullmatch(key) and isinstance(items, list) for key, items in data.items())
    )


def _lowered(fields: Fields, values: dict[str, Any], path: ValuePath) -> dict[str, Any]:
    """Write the keys of a mapping, and of those in it, in small letters; two that then are one are a fault."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key.lower() in found:
            fields.fault((*path, key), f'"{key}" is there twice, in different case; keep one of them')
        found[key.lower()] = _lowered(fields, value, (*path, key)) if isinstance(value, dict) else value
    return found
