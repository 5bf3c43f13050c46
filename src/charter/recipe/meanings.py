"""What the keys of a recipe mean, in a sentence each: for its reference, its schema and recipes that are begun.

A key's meaning is said by its model's field, or else in ``keys.yaml`` beside this module.
"""

from __future__ import annotations

import functools
import inspect
import re
from pathlib import Path

from pydantic import BaseModel

from charter.files.yaml_reading import read_yaml
from charter.recipe.settings import Recipe
from charter.recipe.settings.section import sections_in

MEANINGS = Path(__file__).with_name("keys.yaml")
_REFERENCE = re.compile(r"\s*\((?:see )?\[[^\]]*\]\([^)]*\)\)")


def meaning_of(model: type[BaseModel], key: str) -> str:
    """Say what a key means, in Markdown.

    Raises:
        ValueError: where that is said neither by the model nor in the file, or by both.
    """
    described = model.model_fields[key].description
    written = (_written().get(one.__name__, {}).get(key) for one in model.__mro__)  # what is nearest holds
    said = [text for text in (described, next(filter(None, written), None)) if text]
    if len(said) != 1:
        told = "neither there nor by the model" if not said else "there and by the model"
        raise ValueError(f"{MEANINGS.name}: the meaning of {home_of(model, key).__name__}.{key} is said {told}")
    text = re.sub(r"\bNone\b", "`null`", said[0])
    return f"{text[0].upper()}{text[1:]}"


def without_links(meaning: str) -> str:
    """Leave out where a meaning refers to a page: outside the documentation its links lead nowhere."""
    return _REFERENCE.sub("", meaning)


def home_of(model: type[BaseModel], key: str) -> type[BaseModel]:
    """Find the model that a key comes from: the first ancestor that has it."""
    return next(one for one in reversed(model.__mro__) if key in inspect.get_annotations(one))


def sections_of(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Give a model and every section inside it, at any depth, by their classes' names."""
    found = {model.__name__: model}
    for field in model.model_fields.values():
        for section in sections_in(field.annotation):
            found |= sections_of(section)
    return found


def require_meanings() -> None:
    """Hold ``keys.yaml`` to the models.

    Raises:
        ValueError: where it describes a key that no recipe has.
    """
    models = {one.__name__: one for section in sections_of(Recipe).values() for one in section.__mro__}
    for name, said in _written().items():
        fields = getattr(models.get(name), "model_fields", {})
        if unknown := sorted(set(said) - set(fields)):
            raise ValueError(f"{MEANINGS.name} describes {', '.join(unknown)} of {name}, which no recipe has")


@functools.cache
def _written() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = read_yaml(MEANINGS).data
    return found
