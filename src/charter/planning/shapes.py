"""What a model's cost follows from: layers, widths, vocabulary; of named sizes, or by a model's own configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from charter.engines.embedded import EMBEDDED, embedded_folder, is_complete
from charter.engines.hub import find_hub_model
from charter.engines.inspection import (
    ADAPTER_CONFIGURATION,
    CONFIGURATION,
    check_adapter,
    count_parameters,
    read_configuration,
)
from charter.errors import ModelError
from charter.files.hub_ids import is_model_id
from charter.planning.rates import parameters_in_name
from charter.spelling import hint

_FIELDS = {
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "inner": "intermediate_size",
    "vocabulary": "vocab_size",
}
_LIKE = 0.6  # a size in a name is taken for the named shape next to it, within this share of it


@dataclass(frozen=True)
class Shape:
    """A model as its cost sees it; ``parameters`` are those of the whole model."""

    name: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_size: int
    inner: int
    vocabulary: int
    tied: bool
    parameters: float

    @property
    def head(self) -> float:
        """Parameters of the output head: a product for every token whose successor is asked for."""
        return float(self.vocabulary * self.width)

    @property
    def body(self) -> float:
        """Parameters that every token is multiplied with: all but the embedding, which is looked up, and the head."""
        return self.parameters - self.head * (1 if self.tied else 2)

    @property
    def attention_width(self) -> int:
        """Numbers of all query heads together."""
        return self.heads * self.head_size

    @property
    def kv_numbers(self) -> float:
        """Numbers that one token leaves in the cache: keys and values of every layer."""
        return float(2 * self.layers * self.kv_heads * self.head_size)

    def adapter(self, rank: int, targets: str | tuple[str, ...]) -> float:
        """Count the parameters of a low-rank adapter; an unknown target is taken for all linear layers."""
        kv = self.kv_heads * self.head_size
        sides = {
            "q_proj": self.width + self.attention_width,
            "k_proj": self.width + kv,
            "v_proj": self.width + kv,
            "o_proj": self.attention_width + self.width,
            "gate_proj": self.width + self.inner,
            "up_proj": self.width + self.inner,
            "down_proj": self.inner + self.width,
        }
        named = () if isinstance(targets, str) else targets
        chosen = [sides[one] for one in named if one in sides] if set(named) & set(sides) else list(sides.values())
        return float(rank * self.layers * sum(chosen))


def named_shapes() -> Mapping[str, Shape]:
    """Give the sizes that have names, from small to large."""
    return _named()


def named_shape(size: str) -> Shape:
    """Find a size by its name, such as ``7b``.

    Raises:
        ModelError: for one that is not there, with those that are.
    """
    known = named_shapes()
    shape = known.get(size.lower())
    if shape is None:
        near = hint(size.lower(), known)
        raise ModelError(f"--size is {size!r}; expected one of {', '.join(known)}, or take --model-config{near}")
    return shape


def shape_of(name: str) -> Shape:
    """Find a model's shape: of an embedded name, a folder, an adapter's folder, or a hub id; nothing is fetched.

    A model that is not on this machine is taken for the named size next to the one in its name.

    Raises:
        ModelError: where neither the model nor a size in its name is there, or its configuration lacks something.
    """
    if name in EMBEDDED and not is_complete(embedded_folder(EMBEDDED[name])):
        return replace(named_shape("135m"), name=name)
    folder = embedded_folder(EMBEDDED[name]) if name in EMBEDDED else Path(name).expanduser()
    if (folder / ADAPTER_CONFIGURATION).is_file():
        return replace(shape_of(check_adapter(folder)), name=name)
    if not (folder / CONFIGURATION).is_file() and is_model_id(name):
        folder = find_hub_model(name, with_code=True) or folder
    if (folder / CONFIGURATION).is_file():
        return read_shape(folder, name)
    n = parameters_in_name(name)
    near = min(named_shapes().values(), key=lambda one: abs(math.log(one.parameters / n))) if n else None
    if n is None or near is None or not _LIKE < near.parameters / n < 1 / _LIKE:
        raise ModelError(
            f"{name} is not on this machine, and its name tells no size that is known; give one with --size "
            f"({', '.join(named_shapes())}), or --model-config FOLDER"
        )
    return replace(near, name=f"{name}, taken for {near.name}")


def read_shape(folder: Path, name: str) -> Shape:
    """Read a shape from ``config.json``, and the parameters from the headers of the weights, where those are there.

    Raises:
        ModelError: for a configuration that lacks something, or headers that cannot be read.
    """
    path = folder / CONFIGURATION
    configuration = read_configuration(path)
    inner = configuration.get("text_config")
    found = configuration | inner if isinstance(inner, dict) else configuration
    wrong = [key for key in _FIELDS.values() if not isinstance(found.get(key), int) or found[key] < 1]
    if wrong:
        raise ModelError(f"{path} does not say {', '.join(wrong)}; give a model's size with --size instead")
    numbers = {field: found[key] for field, key in _FIELDS.items()}
    numbers["kv_heads"] = found.get("num_key_value_heads") or numbers["heads"]
    numbers["head_size"] = found.get("head_dim") or numbers["width"] // numbers["heads"]
    shape = _make(name, numbers, tied=bool(found.get("tie_word_embeddings", False)))
    counted = count_parameters(folder)
    return replace(shape, parameters=float(counted)) if counted > shape.head else shape


@cache
def _named() -> Mapping[str, Shape]:
    text = resources.files("charter.planning").joinpath("data", "shapes.yaml").read_text("utf-8")
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return {
        str(size): _make(
            f"{size} ({one.pop('source')})", one, tied=one.pop("tied"), has_biases=bool(one.pop("biases", False))
        )
        for size, one in found.items()
    }


def _make(name: str, numbers: Mapping[str, int], *, tied: bool, has_biases: bool = False) -> Shape:
    """Count the parameters of gated layers with two norms each, an embedding, a head and a last norm."""
    width, kv = numbers["width"], numbers["kv_heads"] * numbers["head_size"]
    query = numbers["heads"] * numbers["head_size"]
    layer = 2 * width * query + 2 * width * kv + 3 * width * numbers["inner"] + 2 * width
    layer += query + 2 * kv if has_biases else 0
    embeddings = numbers["vocabulary"] * width * (1 if tied else 2)
    return Shape(name, **numbers, tied=tied, parameters=float(numbers["layers"] * layer + embeddings + width))
