from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from charter.files.yaml_reading import read_yaml
from charter.recipe import Recipe, built_in_recipes
from charter.recipe.meanings import sections_of
from charter.recipe.schema import recipe_schema
from charter.recipe.settings.section import sections_in

SCHEMA = recipe_schema()
VALID = Draft202012Validator(SCHEMA)
LEAST: dict[str, Any] = {"name": "a", "constitution": "harmless", "models": {"policy": "p"}}
# What any key is tried with: each plain type, lists and mappings, and what some keys take.
VALUES: tuple[Any, ...] = (
    *(None, True, 0, 1, 100, -1, 0.5, 2.5, "x", "auto", [], {}, ["x"], {"x": 1}, [0.4, 0.6], [1, 2, 3]),
    *({"source": "x"}, {"name": "x"}, {"every": 2}, {"every": True}, {"red_team": 1.0}, {"red_team": {"on_policy": 1}}),
)


def test_the_schema_is_sound() -> None:
    """It is one of the draft that it names."""
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", built_in_recipes())
def test_recipes_that_come_with_charter_are_valid(name: str) -> None:
    """Each of them is as the schema has it, short forms included."""
    assert [error.message for error in VALID.iter_errors(read_yaml(built_in_recipes()[name]).data)] == []


@pytest.mark.parametrize(
    "short",
    [
        {"constitution": "harmless"},
        {"models": {"policy": "p", "judge": "q"}},
        {"prompts": {"red_team": "mine.csv", "benign_twin": None}},
        {"revise": {"given": "rows.jsonl"}},
        {"sft": {"guard": 50}},
        {"rl": {"guard": 5}},
        {"label": {"judges": {"large": "q"}}},
        {"evaluate": {"probes": ["honest"], "others": {"other": "q"}}},
        {"preference_model": {"helpfulness": "owner/name"}},
        {"dpo": None, "rl": None},
    ],
    ids=json.dumps,
)
def test_short_forms_are_valid(short: dict[str, Any]) -> None:
    """What stands for a section when a recipe is read stands for it in the schema too."""
    assert accepts(LEAST | short)
    assert VALID.is_valid(LEAST | short)


@pytest.mark.parametrize(
    ("place", "key"),
    [((), "constituton"), (("revise",), "ruonds"), (("models", "policy"), "nme"), (("sft", "lora"), "alhpa")],
)
def test_misspelt_keys_are_refused(place: tuple[str, ...], key: str) -> None:
    """An unknown key is one for an editor to mark, in any section."""
    recipe = copy.deepcopy(LEAST | {"models": {"policy": {"name": "p"}}})
    section = recipe
    for part in place:
        section = section.setdefault(part, {})
    assert VALID.is_valid(recipe)
    section[key] = 1
    assert not VALID.is_valid(recipe)


def test_the_schema_takes_what_the_reader_takes() -> None:
    """Any value of any key is valid exactly where the reader takes it by itself."""
    differing = []
    for place, recipe in recipes():
        if accepts(recipe) != VALID.is_valid(recipe):
            differing.append(place)
    assert differing == []


def recipes() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give recipes in which one key, of any section, has one of the values."""
    whole = LEAST | {
        "constitution": {"source": "harmless"},
        "models": {"policy": {"name": "p"}},
        "rl": {},
        "preference_model": {},
    }
    for path in key_paths(Recipe):
        for value in VALUES:
            recipe = copy.deepcopy(whole)
            section = recipe
            for part in path[:-1]:
                section = section.setdefault(part, {})
            section[path[-1]] = value
            yield f"{'.'.join(path)}: {json.dumps(value)}", recipe


def key_paths(model: type[BaseModel], *around: str) -> Iterator[tuple[str, ...]]:
    """Name every key, by its place; those of the keys of one section that stands at several, once."""
    for name, field in model.model_fields.items():
        yield (*around, name)
        sections = sections_in(field.annotation)
        is_mapped = "dict" in str(field.annotation) or "tuple" in str(field.annotation)
        if sections and not is_mapped and (around != ("models",) or name == "policy"):
            yield from key_paths(sections[0], *around, name)


def accepts(recipe: dict[str, Any]) -> bool:
    """Tell whether the reader takes a recipe's values, each by itself."""
    try:
        Recipe.model_validate_json(json.dumps(recipe), strict=True)
    except ValidationError:
        return False
    return True


def test_every_key_has_its_meaning() -> None:
    """An editor can say of every key what it is for, without links that lead nowhere."""
    for name in sections_of(Recipe):
        properties = (SCHEMA if name == "Recipe" else SCHEMA["$defs"][name])["properties"]
        for key, schema in properties.items():
            assert schema["description"], f"{name}.{key}"
            assert "](" not in schema["description"], f"{name}.{key}"
    rounds = SCHEMA["$defs"]["ReviseSettings"]["properties"]["rounds"]
    assert rounds == {
        "default": 2,
        "description": "Critiques and revisions per chain",
        "maximum": 8,
        "minimum": 1,
        "type": "integer",
    }
