"""What of a model's configuration llama.cpp must be told, and how its rotary positions are written there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from charter.errors import ModelError

#: Architectures of transformers, by llama.cpp's names; whether its attention turns neighbouring dimensions together.
_FAMILIES: Mapping[str, tuple[str, bool]] = {
    "LlamaForCausalLM": ("llama", True),
    "MistralForCausalLM": ("llama", True),
    "Qwen2ForCausalLM": ("qwen2", False),
    "Qwen3ForCausalLM": ("qwen3", False),
}
#: Ways to stretch positions that come to one factor for each frequency, which llama.cpp takes for its family llama.
_STRETCHED = ("llama3", "linear")


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's sizes.

    ``family`` is llama.cpp's name for the architecture. ``is_interleaved`` says that it turns neighbouring pairs of a
    head's dimensions, where transformers pairs the two halves. ``rope_factors``: what each of the frequencies is
    divided by, float32 [head_dim / 2]; None where they are as they are.
    """

    family: str
    is_interleaved: bool
    n_layers: int
    n_hidden: int
    n_inner: int
    n_heads: int
    n_key_heads: int
    head_dim: int
    n_vocabulary: int
    n_context: int
    norm_epsilon: float
    rope_base: float
    rope_factors: np.ndarray | None
    notes: tuple[str, ...] = ()


def read_shape(configuration: Any) -> Shape:
    """Read the sizes of a model.

    Args:
        configuration: as transformers loads it.

    Raises:
        ModelError: for an architecture, or a way to stretch positions, that is not among those written here.
    """
    names = getattr(configuration, "architectures", None) or ["none"]
    if names[0] not in _FAMILIES:
        raise ModelError(
            f"a model of the architecture {names[0]} cannot be written as GGUF here, only {', '.join(_FAMILIES)}; "
            "export it merged, and convert that folder with llama.cpp's convert_hf_to_gguf.py"
        )
    family, is_interleaved = _FAMILIES[names[0]]
    n_heads = configuration.num_attention_heads
    n_context, notes = _context(configuration)
    return Shape(
        family=family,
        is_interleaved=is_interleaved,
        n_layers=configuration.num_hidden_layers,
        n_hidden=configuration.hidden_size,
        n_inner=configuration.intermediate_size,
        n_heads=n_heads,
        n_key_heads=getattr(configuration, "num_key_value_heads", None) or n_heads,
        head_dim=getattr(configuration, "head_dim", None) or configuration.hidden_size // n_heads,
        n_vocabulary=configuration.vocab_size,
        n_context=n_context,
        norm_epsilon=configuration.rms_norm_eps,
        rope_base=float(configuration.rope_parameters["rope_theta"]),
        rope_factors=_rope_factors(configuration, family),
        notes=notes,
    )


def _context(configuration: Any) -> tuple[int, tuple[str, ...]]:
    """Give the longest text; llama.cpp knows no window for these, and would look further back than was trained."""
    longest: int = configuration.max_position_embeddings
    window = getattr(configuration, "sliding_window", None)
    if not window or window >= longest:
        return longest, ()
    note = f"its attention looks back over {window} tokens, which llama.cpp does not do: that is its longest text there"
    return window, (note,)


def _rope_factors(configuration: Any, family: str) -> np.ndarray | None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    told = configuration.rope_parameters
    kind = told.get("rope_type", "default")
    if told.get("partial_rotary_factor", 1) != 1 or not (
        kind == "default" or (kind in _STRETCHED and family == "llama")
    ):
        raise ModelError(
            f"positions of the kind {kind!r} of {configuration.model_type} cannot be written as GGUF here; export the "
            "model merged, and convert that folder with llama.cpp's convert_hf_to_gguf.py"
        )
    if kind == "default":
        return None
    frequencies, _ = ROPE_INIT_FUNCTIONS[kind](configuration, "cpu")
    n_dimensions = 2 * len(frequencies)
    plain = told["rope_theta"] ** -(np.arange(0, n_dimensions, 2, dtype=np.float64) / n_dimensions)
    return np.asarray(plain / frequencies.double().numpy(), dtype=np.float32)
