"""An adapter merged into its base: a whole model that needs nothing beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from charter.engines.downloads import require_space
from charter.engines.inspection import ADAPTER_CONFIGURATION, CONFIGURATION, read_configuration
from charter.engines.quiet import quiet_libraries
from charter.engines.tokenizers import load_tokenizer
from charter.engines.weights import resolve_model
from charter.errors import ModelError
from charter.training.adapters import Task, load_base, put_adapter, save_trained

_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}


@dataclass(frozen=True, slots=True)
class Merged:
    """A model that was merged: its folder, and the number format that its weights are kept in."""

    folder: Path
    dtype: str


def merge_adapter(adapter: Path, out: Path, *, dtype: str | None = None) -> Merged:
    """Merge an adapter into its base, and write the whole model with the adapter's tokenizer.

    It is computed in float32 on the CPU (four bytes a weight of memory), and rounded once: in bfloat16 the rounding of
    each sum would lose much of a small adapter.

    Args:
        adapter: its folder, as training wrote it; its base is fetched where it is not on this machine.
        out: the folder to write; it is made.
        dtype: the format to round to; None takes the base's own.

    Raises:
        ModelError: for a folder that holds no adapter, a base that cannot be had, or that brings code of its own, and
            where the disk has no room.
    """
    folder = resolve_model(str(adapter))
    if folder.adapter is None:
        raise ModelError(f"{adapter} holds a whole model already: there is nothing to merge")
    own = own_dtype(folder.path)
    dtype = dtype or own
    n_bytes = sum(path.stat().st_size for path in folder.path.glob("*.safetensors"))
    require_space(out, n_bytes * _BYTES[dtype] // _BYTES[own], "the merged model")
    tokenizer = load_tokenizer(folder)
    settings = read_configuration(folder.adapter / ADAPTER_CONFIGURATION)
    task: Task = "reward" if settings.get("task_type") == "SEQ_CLS" else "text"
    base = load_base(folder, "float32", tokenizer, task)
    with quiet_libraries(), torch.no_grad():
        whole = put_adapter(base, folder.adapter, task, is_trainable=False).merge_and_unload()
        save_trained(whole.to(getattr(torch, dtype)), tokenizer, out, base="")
    return Merged(out, dtype)


def own_dtype(model: Path) -> str:
    """Find the format that a model's weights are kept in; float32 where its folder does not say one to compute in."""
    configuration = read_configuration(model / CONFIGURATION)
    said = str(configuration.get("dtype") or configuration.get("torch_dtype") or "")
    return said if said in _BYTES else "float32"
