from __future__ import annotations

import json
from pathlib import Path

import pytest

from charter.constitution.schema import constitution_schema
from charter.recipe.schema import recipe_schema
from cli.command import Command


@pytest.mark.parametrize(("kind", "schema"), [("recipe", recipe_schema()), ("constitution", constitution_schema())])
def test_a_schema_is_printed_or_written(charter: Command, place: Path, kind: str, schema: dict[str, object]) -> None:
    """The output, or the file that --out names, is the schema; a file of before is replaced."""
    printed = charter("schema", kind)
    assert (printed.code, printed.value) == (0, schema)
    (place / "s.json").write_text("before", "utf-8")
    written = charter("schema", kind, "--out", "s.json")
    assert (written.code, written.out) == (0, "s.json\n")
    assert json.loads((place / "s.json").read_text("utf-8")) == schema


def test_a_schema_takes_no_recipes_place(charter: Command, place: Path) -> None:
    """A file that is none of JSON is left as it is."""
    before = (place / "demo.yaml").read_text("utf-8")
    done = charter("schema", "recipe", "--out", "demo.yaml")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: demo.yaml: a schema is JSON; give the file a name that ends in .json\n"
    assert (place / "demo.yaml").read_text("utf-8") == before


def test_a_schema_that_cannot_be_written(charter: Command, place: Path) -> None:
    """A folder that is not there is an error, not a traceback."""
    done = charter("schema", "recipe", "--out", "nowhere/s.json")
    assert done.code == 2
    assert done.err.startswith("error: nowhere/s.json: cannot be written (No such file or directory)")
    assert not (place / "nowhere").exists()


def test_a_misspelt_kind(charter: Command) -> None:
    """Which kind was meant is said."""
    done = charter("schema", "constituton")
    assert done.code == 2
    assert "did you mean 'constitution'?" in done.err
