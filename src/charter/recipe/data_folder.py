"""A folder of data that a user brings: its files take the places that they have a name for.

``data_dir`` is short for naming each file where it belongs. A file that is not there leaves its place as the recipe has
it; a place that the recipe gives a file of its own keeps that, and an override of a place has the last word.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from charter.errors import RecipeError
from charter.recipe.settings import Recipe
from charter.records import BUILT_IN, GENERATED

_PLACES = {
    "red_team.json": ("prompts", "red_team"),
    "sft.json": ("revise", "given"),
    "preferences.json": ("pairs", "given"),
}


def use_data_folder(data: dict[str, Any], *, named: Callable[[tuple[str, ...]], bool] = lambda _: False) -> None:
    """Put the files of ``data_dir`` into a recipe's values, which are changed, and take it out.

    A place that is ``named`` otherwise stays as it is.

    So what a run keeps of its recipe names the files, and can be read when the folder is elsewhere, or has other files.

    Raises:
        RecipeError: where the folder is none, or holds none of the files.
    """
    folder = data.get("data_dir")
    if not isinstance(folder, str):
        return
    there = [name for name in _PLACES if (Path(folder) / name).is_file()]
    if not there:
        what = "holds none of these files" if Path(folder).is_dir() else "is no folder"
        raise RecipeError(f"'data_dir' is {folder!r}, which {what}; expected one with {', '.join(_PLACES)}")
    for name in there:
        section, key = _PLACES[name]
        inner = data.setdefault(section, {})
        if isinstance(inner, dict) and _is_free(inner.get(key)) and not named((section, key)):
            file = str(Path(folder) / name)
            inner[key] = {**inner[key], "source": file} if isinstance(inner.get(key), dict) else file
    del data["data_dir"]


def _is_free(value: Any) -> bool:
    """Whether a place holds no file: nothing, or what the run would write itself."""
    source = value.get("source") if isinstance(value, dict) else value
    return source is None or source in {GENERATED, BUILT_IN}


def find_companion(recipe: Recipe) -> str | None:
    """Find the file of prompts whose keys are those of the given revisions: it says which prompts were meant."""
    source = recipe.prompts.red_team.source
    return source if source.endswith((".json", ".jsonl")) and Path(source).is_file() else None
