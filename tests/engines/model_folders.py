"""Model folders of a few bytes, for what is decided before any weight is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

TOKENIZER = {"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}


def make_model(folder: Path, *, seed: int = 0, **configuration: Any) -> Path:
    """Write a folder that looks like a saved model: configuration, tokenizer, one small tensor."""
    folder.mkdir(parents=True)
    write_json(folder / "config.json", {"model_type": "llama", **configuration})
    write_json(folder / "tokenizer.json", TOKENIZER)
    write_json(folder / "tokenizer_config.json", {"eos_token": "<|im_end|>"})
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    save_weights(folder / "model.safetensors", seed=seed)
    return folder


def make_adapter(folder: Path, base: str, *, seed: int = 0) -> Path:
    """Write a folder that looks like a saved PEFT adapter."""
    folder.mkdir(parents=True)
    write_json(folder / "adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": base})
    save_weights(folder / "adapter_model.safetensors", seed=seed)
    return folder


def save_weights(path: Path, *, seed: int = 0) -> None:
    """Write one tensor."""
    save_file({"weight": np.random.default_rng(seed).normal(size=(4, 4)).astype(np.float32)}, path)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(value))
