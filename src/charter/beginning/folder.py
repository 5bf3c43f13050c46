"""A folder in which a recipe is begun: what is written there, and what to do next."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from charter.beginning.answers import Answers
from charter.beginning.constitution_file import constitution_text
from charter.beginning.recipe_file import recipe_text
from charter.constitution.schema import constitution_schema
from charter.errors import UserError
from charter.files.json_schema import schema_text
from charter.files.writing import replace_whole
from charter.recipe.schema import recipe_schema

RECIPE, CONSTITUTION = "recipe.yaml", "constitution.yaml"
RECIPE_SCHEMA, CONSTITUTION_SCHEMA = "recipe.schema.json", "constitution.schema.json"


@dataclass(frozen=True)
class Begun:
    """What was written, and the commands that come next."""

    files: tuple[Path, ...]
    next: tuple[str, ...]


def begin(folder: Path, answers: Answers, *, force: bool = False) -> Begun:
    """Write a recipe, a constitution where there are principles to be written, and a schema of each, into a folder.

    The recipe comes last: where it is, all is.

    Args:
        folder: made where it is not there.
        answers: what is begun from; its paths hold from where the process stands.
        force: whether to write over files that are there.

    Raises:
        UserError: where a file is there, cannot be written, or the answers make no recipe.
    """
    texts = _texts(folder, answers)
    files = write_texts(folder, texts, force=force)
    return Begun(files, next_commands(folder, tuple(texts)))


def write_texts(folder: Path, texts: Mapping[str, str], *, force: bool = False) -> tuple[Path, ...]:
    """Write files of text into a folder, in their order, each whole or not at all.

    Args:
        folder: made where it is not there.
        texts: by the files' names.
        force: whether to write over files that are there.

    Raises:
        UserError: where a file is there, or cannot be written.
    """
    if not force:
        require_free(folder, tuple(texts))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            replace_whole(folder / name, partial(_write, text), shared=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written to ({error.strerror or error}); name another folder") from error
    return tuple(folder / name for name in texts)


def require_free(folder: Path, names: Sequence[str] = (RECIPE,)) -> None:
    """Refuse to write over what somebody has.

    Raises:
        UserError: naming the files that are there.
    """
    there = [str(folder / name) for name in names if os.path.lexists(folder / name)]
    if there:
        raise UserError(f"{', '.join(there)}: there already; name another folder, or --force to write over them")


def _texts(folder: Path, answers: Answers) -> dict[str, str]:
    """Give what is written, by the files' names."""
    own = CONSTITUTION if answers.n_principles else None
    recipe = recipe_text(answers, folder, file=RECIPE, constitution=own, schema=RECIPE_SCHEMA)
    texts = {RECIPE_SCHEMA: schema_text(recipe_schema())}
    if own is not None:
        texts[CONSTITUTION_SCHEMA] = schema_text(constitution_schema())
        texts[CONSTITUTION] = constitution_text(answers, folder, schema=CONSTITUTION_SCHEMA)
    return {**texts, RECIPE: recipe}


def _write(text: str, path: Path) -> None:
    path.write_text(text, "utf-8")


def next_commands(folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Give the commands that come next, after files of these names were written into a folder."""
    recipe, constitution = (shlex.quote(str(folder / name)) for name in (RECIPE, CONSTITUTION))
    written = [f"charter constitution check {constitution}"] if CONSTITUTION in names else []
    return (*written, f"charter check {recipe}", f"charter run {recipe}")
