"""Writing a recipe with every default filled in: a run's ``recipe.resolved.yaml``."""

from __future__ import annotations

import json

import yaml

from charter.files.yaml_reading import plain_scalar
from charter.recipe.settings import Recipe


def dump_recipe(recipe: Recipe) -> str:
    """Write a recipe with every default filled in, as YAML."""
    text: str = yaml.dump(
        json.loads(recipe.model_dump_json()), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text


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
