"""What to say of a path that leads nowhere, and of a name that means something else than what lies here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from charter.files.hub_ids import is_dataset_id
from charter.recipe import Recipe
from charter.recipe.paths import is_path, slots
from charter.recipe.writing import recipe_values
from charter.records import BUILT_IN, GENERATED


def is_remote(source: str) -> bool:
    """Tell whether rows are a dataset of the hub's, which is fetched when a run starts."""
    return source not in {BUILT_IN, GENERATED} and not Path(source).exists() and is_dataset_id(source)


def path_hint(text: str) -> str:
    """Say what paths are relative to, where one leads nowhere."""
    if not is_path(text) or Path(text).expanduser().exists():
        return ""
    return (
        f" ({Path(text).absolute()} was looked for: a path in a recipe is relative to the recipe's file, a path in an "
        f"override to {Path.cwd()})"
    )


def confusing_names(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Find names under which something lies here, but not beside the recipe: the key, and what to write."""
    for slot in slots(recipe_values(recipe)):
        if slot.text and not slot.is_path and slot.text not in slot.names and Path(slot.text).exists():
            problem = f"{slot.text!r} is taken for a name, since nothing of that name lies beside the recipe's file"
            remedy = f"write the path from there to {Path(slot.text).absolute()}, or ./{slot.text} in an override"
            yield slot.place.removesuffix(".name").removesuffix(".source"), f"{problem}; {remedy}"
