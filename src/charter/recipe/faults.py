"""What is wrong with a recipe, in lines that a person can act on: where, the value, what was expected."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError

from charter.files.yaml_reading import YamlDocument
from charter.recipe.secrets import HIDDEN, hide, hide_overrides, is_secret, named_beside_secret
from charter.recipe.settings.section import RUN_NAME_IN_WORDS, sections_in
from charter.spelling import nearest

Path = tuple[int | str, ...]

# What asks for a name, where somebody may have put what it names: the value is not shown.
_SECRETS = {
    "key_name": "the name of an environment variable, in capitals, such as OPENAI_API_KEY, never the key itself"
}
_MAX_SHOWN = 200  # characters of a value
_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a text; put it in quotes",
    "tuple_type": "a list",
    "dict_type": "keys inside it",
    "string_pattern_mismatch": RUN_NAME_IN_WORDS,
}
# What quotes alone keep from being what is expected.
_IN_QUOTES = {
    "int_type": re.compile(r"[-+]?\d+"),
    "float_type": re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE),
    "bool_type": re.compile(r"true|false", re.IGNORECASE),
}


@dataclass(frozen=True)
class Given:
    """A recipe as a person gave it: the file, its values after the overrides, and the overrides."""

    document: YamlDocument
    data: Any
    overrides: tuple[str, ...]

    def place(self, where: Path, *, missing: bool = False) -> str:
        """Name the override that set a value, or made what it is missing from; else the file and its line."""
        override = self.override(where, missing=missing)
        return self.document.where(where) if override is None else quoted(override, self.overrides)

    def override(self, where: Path, *, missing: bool = False) -> str | None:
        """Find the override that set a value, or made what it is missing from."""
        target = where[:-1] if missing else where
        depth = next(end for end in range(len(target), -1, -1) if end == 0 or target[:end] in self.document.lines)
        for override in reversed(self.overrides):
            key = tuple(override.partition("=")[0].split("."))
            n_shared = min(len(key), len(target))
            changed = not missing and key[:n_shared] == target[:n_shared]
            made = depth < len(target) and key[: depth + 1] == target[: depth + 1]
            if changed or made:
                return override
        return None

    def path(self, where: Path) -> Path:
        """Keep the parts of a place that were given, and a missing key: pydantic adds the types that it tried."""
        data = self.data
        for depth, part in enumerate(where):
            inner = _inner(data, part)
            if inner is None:
                holds_such = isinstance(data, dict) or (isinstance(data, list) and isinstance(part, int))
                return where[: depth + 1] if holds_such and depth + 1 == len(where) else where[:depth]
            data = inner[0]
        return where

    def value(self, where: Path) -> Any:
        """Give what stands at a place; None where nothing does."""
        found = self.data
        for part in where:
            inner = _inner(found, part)
            found = None if inner is None else inner[0]
        return found


def explain(error: ValidationError, model: type[BaseModel], given: Given) -> str:
    """Turn pydantic's findings on a model into one line for each place."""
    lines: dict[str, list[str]] = {}
    for finding in error.errors():
        where = given.path(finding["loc"])
        place = given.place(where, missing=finding["type"] == "missing")
        subject = _subject(finding, where, given)
        lines.setdefault(f"{place}: {subject}", []).append(_expectation(finding, where, model, given))
    return "\n".join(line + ", or ".join(dict.fromkeys(expected)) for line, expected in lines.items())


def quoted(override: str, overrides: Sequence[str]) -> str:
    """Name one of several overrides, without what may be a key in it."""
    return f"override {hide_overrides(overrides)[overrides.index(override)]!r}"


def _inner(data: Any, part: int | str) -> tuple[Any] | None:
    """Step into a value; the value inside comes wrapped, because it may be None."""
    if isinstance(data, dict):
        return (data[part],) if part in data else None
    if isinstance(data, list) and isinstance(part, int) and part < len(data):
        return (data[part],)
    return None


def _subject(finding: Any, where: Path, given: Given) -> str:
    section = given.value(where[:-1])
    *around, last = where
    dotted = ".".join(map(str, (*around, HIDDEN if named_beside_secret(last, section) else last)))
    if finding["type"] == "extra_forbidden" or "[key]" in finding["loc"]:
        return f"unknown key {dotted!r}; "
    if finding["type"] == "missing":
        return f"{dotted!r} is missing; "
    if last in _SECRETS or is_secret(last):
        return f"{dotted!r} is none: "
    return f"{dotted!r} is {shown(finding['input'])}: "


def shown(value: Any) -> str:
    """Write a value as YAML has it, long ones cut, without what may be a key in it; text in quotes."""
    if value is None:
        return "empty (null)"
    text = hide(json.dumps(value, ensure_ascii=False) if isinstance(value, bool | list | dict) else repr(value))
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _expectation(finding: Any, where: Path, model: type[BaseModel], given: Given) -> str:
    if finding["type"] == "extra_forbidden":
        known = _keys_at(where[:-1], model)
        near = nearest(str(where[-1]), known)
        return f"did you mean {near!r}?" if near else f"known here: {', '.join(known)}"
    if finding["type"] == "missing":
        return "add it"
    if finding["type"] == "model_type":
        return f"expected keys inside it, such as {', '.join(_keys_at(where, model)[:3])}"
    override = given.override(where)
    if finding["type"] == "string_type" and override is not None:
        return f"expected a text; {_quoted(override, where)}"
    known_type = _SECRETS.get(str(where[-1])) or _EXPECTED.get(finding["type"])
    if known_type is not None:
        return f"expected {known_type}{_without_quotes(finding)}"
    message: str = finding["msg"]
    expected = message.removeprefix("Input should be ")
    return f"expected {expected}" if expected != message else message[0].lower() + message[1:]


def _without_quotes(finding: Any) -> str:
    written, given = _IN_QUOTES.get(finding["type"]), finding["input"]
    return ", without quotes" if written and isinstance(given, str) and written.fullmatch(given.strip()) else ""


def _quoted(override: str, where: Path) -> str:
    """Say how a text gets through a shell, which takes the outer quotes away."""
    key, _, value = override.partition("=")
    is_plain = hide(override) == override and value[:1] not in ("[", "{") and not set(value) & set("'\"\\")
    if is_plain and key == ".".join(map(str, where)):
        return f"put it in quotes that the shell leaves: '{key}=\"{value}\"'"
    return "put it in double quotes, and single quotes around all of KEY=VALUE, so that the shell leaves them"


def _keys_at(where: Path, model: type[BaseModel]) -> list[str]:
    """Name the keys that a section knows."""
    is_name = False
    for part in where:
        if isinstance(part, int) or is_name:  # which of several sections it is
            is_name = False
            continue
        found = model.model_fields.get(part)
        inner = [] if found is None else sections_in(found.annotation)
        if found is None or not inner:
            return []
        model, is_name = inner[0], get_origin(found.annotation) is dict
    return list(model.model_fields)
