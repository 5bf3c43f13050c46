"""Reading a recipe, with ``key=value`` overrides that reach any depth (``revise.rounds=2``).

An unknown key is an error that names its nearest match. Paths are relative to the file, those of overrides to the
shell (see ``paths``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from charter.errors import RecipeError
from charter.files.yaml_reading import YamlDocument, parse_argument, read_text, read_yaml
from charter.recipe.contradictions import contradictions
from charter.recipe.data_folder import use_data_folder
from charter.recipe.faults import Given, explain, quoted, shown
from charter.recipe.paths import place_paths
from charter.recipe.scaling import scaled
from charter.recipe.secrets import HIDDEN, hide, is_secret
from charter.recipe.settings import Recipe


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply ``key=value`` overrides.

    Returns:
        The recipe; its paths hold from where the process stands.

    Raises:
        RecipeError: naming file, line, value and remedy.
    """
    try:
        return _load(path, overrides)
    except RecipeError as error:
        # Without what it came of, which quotes values too.
        raise RecipeError(str(error)) from None


def _load(path: Path, overrides: Sequence[str]) -> Recipe:
    document = _read(path)
    data = document.data
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys such as name, constitution and models")
    placed = place_paths(data, path.parent)
    _refuse_repeated(overrides)
    for override in overrides:
        _apply(data, override, quoted(override, overrides))
    place_paths(data, Path(), known=placed)
    use_data_folder(data, named=partial(_is_named, overrides))
    given = Given(document, data, tuple(overrides))
    try:
        # JSON mode takes a list where a tuple is declared and is strict in all else: "2" and true are no numbers.
        recipe = scaled(Recipe.model_validate_json(json.dumps(data), strict=True))
    except ValidationError as error:
        raise RecipeError(explain(error, Recipe, given)) from error
    for where, problem in contradictions(recipe):
        raise RecipeError(f"{given.place(where)}: {problem}")
    return recipe


def _read(path: Path) -> YamlDocument:
    """Read the file; of a line that may hold a key an error quotes nothing."""
    try:
        return read_yaml(path, error=RecipeError)
    except RecipeError as error:
        found = re.match(rf"{re.escape(str(path))}:(\d+): ", str(error))
        lines = read_text(path).splitlines()[int(found[1]) - 1 :] if found else []
        if not lines or hide(lines[0]) == lines[0]:
            raise
        raise RecipeError(re.sub('"[^"]*"', f'"{HIDDEN}"', str(error), count=1)) from None


def _refuse_repeated(overrides: Sequence[str]) -> None:
    """Refuse a key that is set twice, as in a file."""
    first: dict[str, str] = {}
    for override in overrides:
        key = override.partition("=")[0]
        if key in first:
            raise RecipeError(
                f"{quoted(override, overrides)}: {key!r} is set twice (first by {hide(first[key])!r}); keep one of "
                "them. If it was given once, a shell took its braces apart: put quotes around all of KEY=VALUE"
            )
        first[key] = override


def _is_named(overrides: Sequence[str], place: tuple[str, ...]) -> bool:
    """Whether an override says what stands at a place, by itself or in a section."""
    for override in overrides:
        key, _, text = override.partition("=")
        parts = tuple(key.split("."))
        if parts in {place, (*place, "source")}:
            return True
        value = _parse(text, quoted(override, overrides)) if place[: len(parts)] == parts else {}
        for part in place[len(parts) :]:
            value = value.get(part, {}) if isinstance(value, dict) else {}
        if value != {} and (not isinstance(value, dict) or "source" in value):
            return True
    return False


def _parse(text: str, said: str) -> Any:
    """Read an override's value; of one that may hold a key nothing is quoted where it cannot be read."""
    try:
        return parse_argument(text, said, error=RecipeError)
    except RecipeError:
        if HIDDEN not in said:
            raise
        raise RecipeError(
            f"{said}: its value is no whole YAML value, or has a key twice or a sign (& * !) that is not allowed; put "
            "double quotes around text, and single quotes around all of KEY=VALUE"
        ) from None


def _apply(data: dict[str, Any], override: str, said: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise RecipeError(
            f"{said}: expected key=value, such as revise.rounds=2, without spaces around the '='; put "
            "quotes around all of KEY=VALUE where a value holds spaces"
        )
    value = _parse(text, said)
    *parents, last = key.split(".")
    for parent in parents:
        child = data.get(parent)
        if child is None:
            child = data[parent] = {}
        if isinstance(child, str) and parent in _SHORTHANDS:
            child = data[parent] = {_SHORTHANDS[parent]: child}
        if not isinstance(child, dict):
            held = HIDDEN if is_secret(parent) else shown(child)
            raise RecipeError(f"{said}: {parent!r} is {held}, which has no keys inside it")
        data = child
    data[last] = value


_SHORTHANDS = dict.fromkeys(("policy", "critic", "reviser", "judge"), "name") | dict.fromkeys(
    ("constitution", "red_team", "benign_twin", "helpful", "given", "helpfulness"), "source"
)
