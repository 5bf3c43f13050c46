"""``charter schema``: what an editor needs to complete and check the files that people write."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from charter.cli import console
from charter.cli.options import examples
from charter.errors import UserError


class Kind(StrEnum):
    """The files that have a schema."""

    recipe = "recipe"
    constitution = "constitution"


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "schema",
        epilog=examples("charter schema recipe --out recipe.schema.json", "charter schema constitution"),
    )(schema)


def schema(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="recipe or constitution.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it into this file (.json), in place of another.")
    ] = None,
) -> None:
    """Print the JSON Schema of a recipe or of a constitution, by which editors complete keys and mark mistakes.

    It is made from what reads these files, and knows each key with its meaning, its type and its bounds. Whether two
    values fit together, and whether what a file names is there, only 'charter check' knows.
    """
    if kind is Kind.recipe:
        from charter.recipe.schema import recipe_schema as make
    else:
        from charter.constitution.schema import constitution_schema as make
    from charter.files.json_schema import schema_text, write_schema

    if out is None:
        console.write(schema_text(make()).rstrip())
        return
    if out.suffix.lower() != ".json":  # so that it takes the place of no recipe
        raise UserError(f"{out}: a schema is JSON; give the file a name that ends in .json")
    write_schema(make(), out)
    console.write(str(out))
