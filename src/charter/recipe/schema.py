"""The JSON Schema of a recipe: what an editor needs to complete its keys, say what they mean, and mark mistakes."""

from __future__ import annotations

from typing import Any

from charter.files.json_schema import schema_of
from charter.recipe.meanings import meaning_of, sections_of, without_links
from charter.recipe.settings import Recipe


def recipe_schema() -> dict[str, Any]:
    """Make the schema of a recipe, each key with its meaning and short forms (``policy: NAME``) among what it takes."""
    schema = schema_of(Recipe, "A recipe of Charter")
    for name, model in sections_of(Recipe).items():
        properties = schema["properties"] if model is Recipe else schema["$defs"][name]["properties"]
        for key in model.model_fields:
            properties[key]["description"] = without_links(meaning_of(model, key))
    return schema
