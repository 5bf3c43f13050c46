from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from charter.constitution import list_constitutions, load_constitution
from charter.constitution.reading import _library
from charter.constitution.schema import constitution_schema
from charter.errors import ConstitutionError
from charter.files.yaml_reading import parse_yaml

SCHEMA = constitution_schema()
VALID = Draft202012Validator(SCHEMA)
BASES = ("first", "second")
WHOLE: dict[str, Any] = {
    "name": "whole",
    "version": "1.0.0",
    "description": "x",
    "language": "en",
    "licence": "x",
    "bases": ["x 1.0.0"],
    "extends": [{"source": "first.json", "version": ">=0.1", "weight": 2, "without": []}, "second.json"],
    "system": dict.fromkeys(("respond", "critique", "revise", "judge"), "x"),
    "principles": [
        {
            "id": "own",
            "text": "x",
            "weight": 2.0,
            "uses": ["revise"],
            "metadata": {"x": [1, None]},
            **dict.fromkeys(("title", "category", "critique_request", "revision_request", "choice_question"), "x"),
            **dict.fromkeys(("language", "source", "licence", "source_id", "base"), "x"),
        }
    ],
    "few_shots": {
        "revise": [
            {
                "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "x"}],
                **dict.fromkeys(("critique_request", "critique", "revision_request", "revision"), "x"),
            }
        ],
        "judge": [
            {
                "messages": [{"role": "user", "content": "x"}],
                "answer": "A",
                **dict.fromkeys(("question", "a", "b", "reasoning"), "x"),
            }
        ],
    },
    "metadata": {"x": 1},
}
VALUES: tuple[Any, ...] = (None, True, -1, 0.5, "x", "", [], {}, ["x"])


def test_the_schema_is_sound() -> None:
    """It is one of the draft that it names, and a file with every key is valid."""
    Draft202012Validator.check_schema(SCHEMA)
    assert VALID.is_valid(WHOLE)


@pytest.mark.parametrize("name", list_constitutions())
def test_built_in_constitutions_are_valid(name: str) -> None:
    """Each of them is as the schema has it."""
    text = (_library() / f"{name}.yaml").read_text("utf-8")
    assert [error.message for error in VALID.iter_errors(parse_yaml(text, name).data)] == []


@pytest.mark.parametrize(
    ("data", "valid"),
    [
        ({"name": "x", "extends": ["harmless"]}, True),
        ({"name": "x", "extends": ["harmless"], "principles": []}, True),
        ({"name": "x", "extends": ["harmless"], "principles": [{"id": "privacy", "weight": 2}]}, True),
        ({"name": "x", "principles": [{"id": "a", "text": "b"}]}, True),
        ({"name": "x", "extends": [], "principles": [{"id": "a", "text": "b"}]}, True),
        ({"name": "x", "principles": [{"id": "a"}]}, False),
        ({"name": "x", "extends": []}, False),
        ({"name": "x", "principles": []}, False),
        ({"principles": [{"id": "a", "text": "b"}]}, False),
        ({"name": "x", "pinciples": [], "extends": ["harmless"]}, False),
        ({"name": "x", "principles": [{"id": "a", "text": "b", "wieght": 2}]}, False),
        ({"name": "x", "extends": [{"source": "harmless", "onyl": ["a"]}]}, False),
    ],
    ids=json.dumps,
)
def test_what_is_left_out(data: dict[str, Any], valid: bool) -> None:
    """Requests are never needed, principles and their texts where no base gives them; misspelt keys are refused."""
    assert VALID.is_valid(data) is valid


def test_the_schema_takes_what_the_reader_takes(tmp_path: Path) -> None:
    """Whatever stands at a key, or where it is left out, a file is valid exactly where it can be read."""
    for name in BASES:
        base = {"name": name, "principles": [{"id": name, "text": "x"}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(base), "utf-8")
    assert reads(WHOLE, tmp_path / "c.json")
    refused, slipped = set(), set()
    for place, data in variants():
        is_read, is_valid = reads(data, tmp_path / "c.json"), VALID.is_valid(data)
        if is_read and not is_valid:
            refused.add(place)
        if is_valid and not is_read:
            slipped.add(place.partition(": ")[0])
    assert refused == set()
    # Whether a base is there, of which version, and what is in it, no schema can know.
    bases = {f"extends{place}" for place in ("", ".0", ".1", ".0.source", ".0.version", ".0.without")}
    assert slipped <= bases | {"principles.0.text"}, "which a base may give, of the same id"


def variants() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give files of which one value is another one, or is not there."""
    for path in value_paths(WHOLE):
        for value in (*VALUES, ...):
            data = copy.deepcopy(WHOLE)
            holder: Any = data
            for part in path[:-1]:
                holder = holder[part]
            if value is ...:
                del holder[path[-1]]
            else:
                holder[path[-1]] = value
            yield f"{'.'.join(map(str, path))}: {'left out' if value is ... else json.dumps(value)}", data


def value_paths(value: Any, *around: str | int) -> Iterator[tuple[str | int, ...]]:
    """Name the place of every value inside another one."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*around, key)
        yield from value_paths(one, *around, key)


def reads(data: dict[str, Any], file: Path) -> bool:
    """Tell whether a file in our own layout can be read."""
    file.write_text(json.dumps(data), "utf-8")
    try:
        load_constitution(file, layout="native")
    except ConstitutionError:
        return False
    return True


def test_every_key_has_its_meaning() -> None:
    """An editor can say of every key what it is for."""
    sections = [SCHEMA, *(one for one in SCHEMA["$defs"].values() if "properties" in one)]
    assert len(sections) == 8
    assert [key for one in sections for key, schema in one["properties"].items() if not schema.get("description")] == []
