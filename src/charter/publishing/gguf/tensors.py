"""A model's weights under llama.cpp's names, in its order of dimensions and its number formats, one at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from charter.engines.inspection import weight_files
from charter.errors import ModelError
from charter.publishing.gguf.architecture import Shape

Numbers = Literal["f32", "f16", "bf16", "q8_0"]
NUMBERS: tuple[Numbers, ...] = get_args(Numbers)

_TURNED = ("attn_q", "attn_k")
_FACTORS = "rope_freqs.weight"


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the file: its name there, its sizes with rows first, the format of its numbers.

    ``content`` is the weight of a file of safetensors, by its name there, or the numbers themselves.
    """

    name: str
    sizes: tuple[int, ...]
    numbers: Numbers
    content: tuple[Path, str] | np.ndarray[Any, Any]

    @property
    def n_bytes(self) -> int:
        """The bytes that it takes."""
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        block, size = GGML_QUANT_SIZES[GGMLQuantizationType[self.numbers.upper()]]
        return math.prod(self.sizes) // int(block) * int(size)


def list_tensors(folder: Path, shape: Shape, numbers: Numbers, *, is_tied: bool) -> list[Tensor]:
    """List what a model's folder becomes.

    Args:
        folder: of a whole model, its weights in safetensors.
        shape: of the model.
        numbers: the format of matrices; vectors are kept in 32 bits, as are the few matrices that a block does not fit.
        is_tied: whether the embedding is the last layer too, which is then left out.

    Raises:
        ModelError: for a weight that llama.cpp has no name for, or none at all.
    """
    import gguf
    from safetensors import safe_open

    architecture = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == shape.family)
    names = gguf.get_tensor_name_map(architecture, shape.n_layers)
    found: list[Tensor] = []
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            for key in sorted(file.keys()):
                if is_tied and key == "lm_head.weight":
                    continue
                name = names.get_name(key, try_suffixes=(".weight", ".bias"))
                if name is None:
                    raise ModelError(f"{path.name}: llama.cpp has no name for the weight {key!r} in {shape.family}")
                sizes = tuple(file.get_slice(key).get_shape())
                found.append(Tensor(name, sizes, _format(sizes, numbers), (path, key)))
    if shape.rope_factors is not None:
        found.append(Tensor(_FACTORS, shape.rope_factors.shape, "f32", shape.rope_factors))
    return found


def _format(sizes: tuple[int, ...], numbers: Numbers) -> Numbers:
    if len(sizes) == 1:
        return "f32"
    return "f16" if numbers == "q8_0" and sizes[-1] % 32 else numbers


def read_tensor(tensor: Tensor, shape: Shape) -> np.ndarray[Any, Any]:
    """Read one, as the bytes or numbers that are written."""
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize
    from safetensors import safe_open

    if isinstance(tensor.content, np.ndarray):
        return tensor.content
    path, key = tensor.content
    with safe_open(path, framework="pt") as file:
        weight = file.get_tensor(key).float().numpy()
    part = tensor.name.split(".")[-2]
    if shape.is_interleaved and part in _TURNED:
        weight = _turned(weight, shape.n_heads if part == "attn_q" else shape.n_key_heads)
    with np.errstate(over="ignore"):  # which is looked for below
        done: np.ndarray[Any, Any] = quantize(
            np.ascontiguousarray(weight), GGMLQuantizationType[tensor.numbers.upper()]
        )
    if tensor.numbers == "f16" and not np.isfinite(done).all():
        raise ModelError(f"{path.name}: {key!r} has numbers that 16 bits of the kind f16 cannot hold; take bf16")
    return done


def _turned(weight: np.ndarray[Any, Any], n_heads: int) -> np.ndarray[Any, Any]:
    """Put a head's dimensions next to those that they are turned with; transformers has the two halves apart."""
    return weight.reshape(n_heads, 2, -1, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def all_bytes(tensors: list[Tensor]) -> int:
    """Add up what tensors take."""
    return sum(one.n_bytes for one in tensors)
