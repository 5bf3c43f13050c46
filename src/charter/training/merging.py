"""An adapter merged into its base: a whole model that needs nothing beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from charter.engines.downloads import require_space
from charter.engines.inspection import ADAPTER_CONFIGURATION, CONFIGURATION, read_configuration
from charter.engines.quiet import quiet_libraries
from charter.engines.tokenizers import load_tokenizer
from charter.engines.weights import ModelFolder, resolve_model
from charter.errors import ModelError
from charter.training.adapters import Task, load_base, put_adapter, save_trained


@dataclass(frozen=True, slots=True)
class Merged:
    """A model that was merged: its folder, and the number format that its weights are kept in."""

    folder: Path
    dtype: str


def merge_adapter(adapter: Path, out: Path) -> Merged:
    """Merge an adapter into its base, and write the whole model with the adapter's tokenizer.

    It is computed in float32 on the CPU (four bytes a weight of memory), and rounded once, to the base's own format:
    in bfloat16 the rounding of each sum would lose much of a small adapter.

    Args:
        adapter: its folder, as training wrote it; its base is fetched where it is not on this machine.
        out: the folder to write; it is made.

    Raises:
        ModelError: for a folder that holds no adapter, a base that cannot be had, or that brings code of its own, and
            where the disk has no room.
    """
    folder = resolve_model(str(adapter))
    if folder.adapter is None:
        raise ModelError(f"{adapter} holds a whole model already: there is nothing to merge")
    dtype = _own_dtype(folder)
    require_space(out, sum(path.stat().st_size for path in folder.path.glob("*.safetensors")), "the merged model")
    tokenizer = load_tokenizer(folder)
    settings = read_configuration(folder.adapter / ADAPTER_CONFIGURATION)
    task: Task = "reward" if settings.get("task_type") == "SEQ_CLS" else "text"
    base = load_base(folder, "float32", tokenizer, task)
    with quiet_libraries(), torch.no_grad():
        whole = put_adapter(base, folder.adapter, task, is_trainable=False).merge_and_unload()
        save_trained(whole.to(getattr(torch, dtype)), tokenizer, out, base="")
    return Merged(out, dtype)


def _own_dtype(folder: ModelFolder) -> str:
    """Find the format that a base's weights are kept in; float32 where it does not say one to compute in."""
    configuration = read_configuration(folder.path / CONFIGURATION)
    said = str(configuration.get("dtype") or configuration.get("torch_dtype") or "")
    return said if said in {"bfloat16", "float16", "float32", "float64"} else "float32"
