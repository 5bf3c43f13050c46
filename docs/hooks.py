# ruff: noqa: INP001 - mkdocs loads this file by its path; it is no package
"""The recipe reference, written from the recipe's own models, so that the page cannot say what the code does not.

A line ``<!-- recipe keys: SECTION -->`` in a page has a table of that section's keys after it: type, default, meaning.
What a key means says ``charter.recipe.meanings``; where it is said nowhere or twice, the build stops. The site always
has fresh tables; ``python docs/hooks.py`` puts them into the page itself, where they can be read without the site, and
a test fails while they are stale.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from charter.recipe import Recipe
from charter.recipe.meanings import home_of, meaning_of, require_meanings
from charter.recipe.settings import (
    GivenRows,
    GuardSettings,
    JudgeSettings,
    ModelSettings,
    ProbeSettings,
    PromptSource,
    RlGuardSettings,
)
from charter.records import AnyPairSource, PairSource, PromptKind, ResponseLabel

PAGE = Path(__file__).parent / "recipes.md"
#: Sections that stand at several keys, and the names under which the page shows each once.
SHARED: Mapping[type[BaseModel], str] = {
    ModelSettings: "a model",
    JudgeSettings: "a further judge",
    PromptSource: "a source of prompts",
    GivenRows: "given rows",
    ProbeSettings: "probes",
    GuardSettings: "a guard",
    RlGuardSettings: "a guard of rl",
}
#: What is too long to spell out in a table's cell.
NAMED: Mapping[Any, str] = {
    PromptKind: "kind of prompt",
    ResponseLabel: "response class",
    PairSource: "source",
    AnyPairSource: "source, or `given`",
}
_PLAIN = {str: "text", int: "integer", float: "number", bool: "`true` or `false`"}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_TABLE = re.compile(r"^(?P<mark><!-- recipe keys: (?P<section>[\w ]+) -->)\n(?:\n(?:\|.*\n)+)?", re.MULTILINE)


@dataclass(frozen=True)
class Key:
    """One key of a recipe, as a table's row says it."""

    name: str
    type: str
    default: str
    meaning: str


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put fresh tables into a page; mkdocs calls this for every one."""
    return _TABLE.sub(lambda found: f"{found['mark']}\n\n{table(found['section'])}\n", markdown)


def table(section: str) -> str:
    """Write a section's keys as a Markdown table.

    Args:
        section: a top key of the recipe, a name of ``SHARED``, or ``recipe`` for the top keys themselves.
    """
    rows = [f"| `{key.name}` | {key.type} | {key.default} | {key.meaning} |" for key in section_keys(section)]
    return "\n".join(("| key | type | default | meaning |", "|---|---|---|---|", *rows))


def section_keys(section: str) -> Iterator[Key]:
    """List a section's keys, those of the sections inside it under dotted names."""
    require_meanings()
    shared = {name: model for model, name in SHARED.items()}
    if section in shared:
        return _walk(shared[section], "")
    if section == "recipe":
        return (_key(Recipe, name, field, name) for name, field in Recipe.model_fields.items())
    inner = _inner(Recipe.model_fields[section].annotation)
    if inner is None:
        raise ValueError(f"a page asks for the keys of {section!r}, which has none inside it")
    return _walk(inner, f"{section}.")


def _walk(model: type[BaseModel], prefix: str) -> Iterator[Key]:
    for name, field in sorted(model.model_fields.items(), key=lambda item: home_of(model, item[0]) is not model):
        inner = _inner(field.annotation)
        if inner is None or inner in SHARED:
            yield _key(model, name, field, f"{prefix}{name}")
        else:
            yield from _walk(inner, f"{prefix}{name}.")


def _key(model: type[BaseModel], name: str, field: FieldInfo, shown_as: str) -> Key:
    return Key(shown_as, _type(field), _default(field), meaning_of(model, name).replace("|", "\\|"))


def _inner(hint: Any) -> type[BaseModel] | None:
    """Find the section that a type holds: itself, or what an optional or annotated type wraps."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint
    if typing.get_origin(hint) in {types.UnionType, typing.Union, typing.Annotated}:
        return next(filter(None, map(_inner, typing.get_args(hint))), None)
    return None


def _type(field: FieldInfo) -> str:
    inner = _inner(field.annotation)
    if inner is None:
        return _words(field.annotation, field.metadata)
    optional = ", or `null`" if type(None) in typing.get_args(field.annotation) else ""
    return SHARED.get(inner, "a section") + optional


def _words(hint: Any, bounds: Any = ()) -> str:
    """Say a type in words."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    section = _inner(hint)
    if section is not None:
        return SHARED[section]
    if origin in {Literal, typing.Annotated, types.UnionType, typing.Union, dict, tuple, list}:
        return NAMED[hint] if hint in NAMED else _composed(origin, inner, bounds)
    return _PLAIN[hint] + _limits(bounds)


def _limits(bounds: Any) -> str:
    found = {name: f"{getattr(one, name):g}" for one in bounds for name in _BOUNDS if hasattr(one, name)}
    if set(found) == {"ge", "le"}:
        return f", {found['ge']} to {found['le']}"
    said = " and ".join(f"{_BOUNDS[name]} {value}" for name, value in found.items())
    return f", {said}" if said else ""


def _composed(origin: Any, inner: tuple[Any, ...], bounds: Any) -> str:
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin is typing.Annotated:
        return _words(inner[0], [limit for one in inner[1:] for limit in getattr(one, "metadata", [one])])
    if origin is dict:
        return f"mapping of {_words(inner[0])} to {_words(inner[1])}"
    if origin in {tuple, list}:
        return f"list of {'' if inner[1:] in {(), (...,)} else f'{len(inner)}: '}{_words(inner[0])}"
    return ", or ".join("`null`" if one is type(None) else _words(one, bounds) for one in inner)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "" if type(value) not in SHARED else f"`{next(iter(value.model_dump().values()))}`"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


if __name__ == "__main__":
    PAGE.write_text(on_page_markdown(PAGE.read_text("utf-8")), "utf-8")
