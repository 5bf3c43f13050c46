"""Frozen weights in 4 bits, behind which an adapter is trained (QLoRA, arXiv 2305.14314): bitsandbytes' NormalFloat.

A weight takes about half a byte; each product unpacks what it needs. What is left out is what the method leaves out:
the head, the embeddings and the norms.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import Any

from charter.errors import ModelError

_PACKAGE = "bitsandbytes"
_OLDEST = (0, 49)  # the first with kernels for a CPU


def quantising_lacks() -> str:
    """Say why this environment cannot quantise, with what to do about it; empty where it can, as far as is known."""
    oldest = ".".join(map(str, _OLDEST))
    if importlib.util.find_spec(_PACKAGE) is None:
        return f"{_PACKAGE} is not installed; install it (pip install '{_PACKAGE}>={oldest}'), or leave quantise out"
    version = importlib.metadata.version(_PACKAGE)
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _OLDEST:
        return f"{_PACKAGE} is {version}; install {oldest} or newer (pip install '{_PACKAGE}>={oldest}')"
    return ""


def four_bit_settings(dtype: str) -> Any:
    """Say in transformers' words how weights are kept, and what products are computed in.

    Raises:
        ModelError: where bitsandbytes is missing or too old.
    """
    lacks = quantising_lacks()
    if lacks:
        raise ModelError(f"weights cannot be kept in 4 bits: {lacks}")
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )


def keep_trainable(model: Any) -> None:
    """Keep quantised weights in the layout through which gradients pass.

    On a CPU with AVX512_BF16 a forward pass in evaluation mode, as of a reference, rewrites them into one that has no
    backward pass: what is trained behind it afterwards would get no gradient, without an error (bitsandbytes 0.50).
    """
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
