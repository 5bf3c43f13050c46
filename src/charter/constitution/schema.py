"""The JSON Schema of a constitution in our own layout, for editors."""

from __future__ import annotations

from typing import Any

from charter.constitution.composition import MAX_BASES
from charter.constitution.extension import Extension
from charter.constitution.model import Constitution
from charter.files.json_schema import schema_of


def constitution_schema() -> dict[str, Any]:
    """Make the schema of a constitution's file.

    A file differs from what is read of it: requests that are missing are derived, and what it extends may give it all
    of its principles, or the text of one that it changes.
    """
    schema = schema_of(Constitution, "A constitution of Charter")
    base = schema_of(Extension, "")
    definitions, properties = schema["$defs"], schema["properties"]
    definitions["Extension"] = {key: base[key] for key in ("description", "type", "properties", "required")} | {
        "additionalProperties": False
    }
    properties["extends"] = {
        "description": "Constitutions that this one builds on: their principles come first",
        "type": "array",
        "maxItems": MAX_BASES,
        "items": {"anyOf": [{"type": "string", "minLength": 1}, {"$ref": "#/$defs/Extension"}]},
    }
    definitions["Principle"]["required"] = ["id"]
    schema["required"] = ["name"]
    least = properties["principles"].pop("minItems")
    schema["if"] = {"required": ["extends"], "properties": {"extends": {"minItems": 1}}}
    schema["else"] = {
        "required": ["principles"],
        "properties": {"principles": {"minItems": least, "items": {"required": ["text"]}}},
    }
    return schema
