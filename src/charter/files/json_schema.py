"""JSON Schemas of the files that people write, made from the models that read them, so that editors complete the keys.

Draft 2020-12 (https://json-schema.org/draft/2020-12). What a schema refuses the reader refuses too, but not the other
way round: that two values fit together, that a file is there, no schema can say.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from charter.errors import UserError
from charter.files.writing import replace_whole

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(model: type[BaseModel], title: str) -> dict[str, Any]:
    """Make the schema of a model, with docstrings as Markdown.

    Left out is what editors would show above a key's meaning: titles that only repeat its name, and the default of a
    section, which its keys say.
    """
    made = model.model_json_schema()
    definitions = made.pop("$defs", {})
    for one in (made, *definitions.values()):
        one.pop("title", None)
        if "description" in one:
            one["description"] = one["description"].replace("``", "`")
        for key in one.get("properties", {}).values():
            key.pop("title", None)
            if isinstance(key.get("default"), dict) and _is_section(key):
                del key["default"]
    return {"$schema": DIALECT, "title": title, **made, "$defs": definitions}


def schema_text(schema: dict[str, Any]) -> str:
    """Write a schema as the text of a file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write_schema(schema: dict[str, Any], path: Path) -> None:
    """Write a schema into a file, whole or not at all.

    Raises:
        UserError: where it cannot be written.
    """
    try:
        replace_whole(path, lambda temporary: temporary.write_text(schema_text(schema), "utf-8"), shared=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error}); check the folder") from error


def _is_section(key: dict[str, Any]) -> bool:
    return "$ref" in key or any(map(_is_section, key.get("anyOf", ())))
