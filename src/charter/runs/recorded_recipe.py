"""The recipe that a run's folder belongs to, held against the one that is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from charter.errors import RunError
from charter.files.tables import write_text
from charter.files.yaml_reading import read_yaml
from charter.recipe import Recipe, dump_recipe
from charter.recipe.faults import shown
from charter.recipe.paths import hide_paths
from charter.recipe.secrets import HIDDEN, is_secret
from charter.recipe.writing import flat_settings, recipe_values
from charter.runs.place import RESOLVED

# Sections that change nothing of what a run makes; a guard, but whether a training goes on and what it ends with.
_WITHOUT_EFFECT = ("budget.", "memory.", "ray.", "training.", "sft.guard", "dpo.guard", "rl.guard")
_ALIKE = ("vllm", "vllm-server")  # engines that answer alike


def require_same_recipe(recipe: Recipe, folder: Path) -> None:
    """Refuse a recipe that is not the recorded one.

    Raises:
        RunError: naming every setting that changed, or where what is recorded is damaged.
    """
    changed = changed_settings(recipe, folder)
    if changed:
        raise RunError(
            f"{folder}: belongs to another recipe. Changed:\n{changed}\n"
            "Name a new folder with --out, or undo the change."
        )


def changed_settings(recipe: Recipe, folder: Path) -> str:
    """Tell what of a recipe is not as it is recorded, a line each; files may lie elsewhere by now: they are inputs.

    Raises:
        RunError: where what is recorded is damaged.
    """
    resolved = folder / RESOLVED
    recorded = read_yaml(resolved, error=RunError).data
    if not isinstance(recorded, dict):
        raise RunError(f"{resolved}: is damaged: it holds no recipe; restore it, or name a new folder with --out")
    given = recipe_values(recipe, folder)
    before, now = flat_settings(recorded), flat_settings(given)
    seen_before, seen_now = flat_settings(hide_paths(recorded)), flat_settings(hide_paths(given))
    same = {key for key in seen_now if seen_before.get(key) == seen_now[key]}
    same |= {key for key in {**before, **now} if key.startswith(_WITHOUT_EFFECT)}
    same |= {key for key in now if key.endswith(".engine") and before.get(key) in _ALIKE and now[key] in _ALIKE}
    was, is_now = ({key: one[key] for key in one if key not in same} for one in (before, now))
    changed = [key for key in {**was, **is_now} if was.get(key) != is_now.get(key)]
    return "\n".join(f"  {key}: was {_value(was, key)}, is {_value(is_now, key)}" for key in changed)


def keep_what_may_change(recipe: Recipe, folder: Path) -> None:
    """Write the recipe anew where keys without effect changed: whoever goes on with it goes on under these."""
    both = (read_yaml(folder / RESOLVED, error=RunError).data, recipe_values(recipe, folder))
    recorded, given = (
        {key: value for key, value in flat_settings(one).items() if key.startswith(_WITHOUT_EFFECT)} for one in both
    )
    if recorded != given:
        write_text(folder / RESOLVED, dump_recipe(recipe, folder))


def _value(values: dict[str, Any], key: str) -> str:
    if values.get(key) is not None and is_secret(key):
        return HIDDEN
    return shown(values[key]) if key in values else "not set"
