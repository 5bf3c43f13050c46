"""Writing a recipe with every default filled in: a run's ``recipe.resolved.yaml``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from charter.files.yaml_reading import plain_scalar
from charter.recipe.paths import move_paths
from charter.recipe.settings import Recipe


def dump_recipe(recipe: Recipe, folder: Path = Path()) -> str:
    """Write a recipe with every default filled in, as YAML for a file in ``folder``."""
    text: str = yaml.dump(
        recipe_values(recipe, folder), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text


def write_value(value: Any) -> str:
    """Write one value as YAML on one line, which stands behind its key."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.removesuffix("\n").removesuffix("\n...")  # the end of a document that is one plain value


def recipe_values(recipe: Recipe, folder: Path = Path()) -> dict[str, Any]:
    """Give a recipe as plain values, its paths relative to ``folder``."""
    data: dict[str, Any] = json.loads(recipe.model_dump_json())
    if folder != Path():
        move_paths(data, folder)
    return data


def flat_settings(value: Any, prefix: str = "") -> dict[str, Any]:
    """Give a recipe's plain values by their dotted keys: ``revise.rounds`` and so on."""
    if isinstance(value, dict) and value:
        return {
            name: inner for key, one in value.items() for name, inner in flat_settings(one, f"{prefix}{key}.").items()
        }
    return {prefix.removesuffix("."): value}


class _Dumper(yaml.SafeDumper):
    """Quotes text that our reader would not give back plain: PyYAML writes by the rules of YAML 1.1."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _is_plain(text) else '"')


def _is_plain(text: str) -> bool:
    try:
        return text.isprintable() and plain_scalar(text) == text
    except ValueError:  # digits without end
        return False


_Dumper.add_representer(str, _represent_text)
