"""What models behind servers cost, by name: from a file that whoever pays keeps up to date."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charter.engines.spending import Price
from charter.errors import RecipeError
from charter.files.yaml_reading import YamlDocument, read_yaml
from charter.spelling import hint

_KEYS = ("prompt", "completion", "cached")


def read_prices(file: str | None) -> dict[str, Price]:
    """Read prices per million tokens, in whatever currency; without a file there are none.

    Raises:
        RecipeError: naming file, line, value and remedy.
    """
    if file is None:
        return {}
    document = read_yaml(Path(file), error=RecipeError)
    if not isinstance(document.data, dict):
        raise RecipeError(
            f"{file}: expected models with their prices, such as my-model: {{prompt: 0.5, completion: 1.5}}"
        )
    return {str(model): _price(document, model, given) for model, given in document.data.items()}


def _price(document: YamlDocument, model: Any, given: Any) -> Price:
    place = document.where((model,))
    if not isinstance(given, Mapping) or not given or any(key not in _KEYS for key in given):
        unknown = [str(key) for key in given if key not in _KEYS] if isinstance(given, Mapping) else []
        near = hint(unknown[0], _KEYS) if unknown else ""
        raise RecipeError(
            f"{place}: {model!r} is {given!r}; expected {', '.join(_KEYS)}, each a number for a million tokens{near}"
        )
    for key, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise RecipeError(f"{document.where((model, key))}: {key!r} is {value!r}; expected a number of 0 or more")
    return Price(**{key: float(value) for key, value in given.items()})
