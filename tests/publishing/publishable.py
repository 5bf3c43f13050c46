"""A run folder that can be published: rows, adapters that peft would know, and everything that its stages say."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from charter.files.tables import write_json, write_text
from charter.stages import written_by
from reporting.run_folder import build

BASE = "acme/tiny"
RECIPE = (
    f"name: small-run\nseed: 5\nconstitution: harmless\nmodels: {{policy: {BASE}}}\nprompts: {{}}\n"
    "revise: {rounds: 2}\nsft: {}\npairs: {}\nlabel: {min_option_mass: 0.5}\ndpo: {}\nevaluate: {}\n"
)
#: What lies in a model's folder and is no part of the model.
BESIDE = ("training.json", "snapshots/4/adapter_model.safetensors", "notes.txt", "modeling.py")


def make_run(folder: Path) -> Path:
    """Write the run, whole by the account of its own stages."""
    build(folder)
    write_text(folder / "recipe.resolved.yaml", RECIPE)
    for stage in ("sft", "dpo"):
        make_adapter_folder(folder / "models" / stage, BASE)
    for name in (path.stem for path in (folder / "stages").glob("*.json")):
        for written in written_by(name):
            if written.endswith(".parquet") and not (folder / written).exists():
                pq.write_table(pq.read_table(folder / "data/probes.parquet"), folder / written)
    return folder


def make_adapter_folder(folder: Path, base: str) -> None:
    """Write the files of an adapter, and what a training leaves beside it."""
    settings = {"base_model_name_or_path": base, "peft_type": "LORA", "r": 4, "task_type": "CAUSAL_LM"}
    write_json(folder / "adapter_config.json", settings)
    write_json(folder / "tokenizer.json", {"model": {"vocab": {"/home": 1, "/Users": 2, "hf_": 3, "sk-": 4}}})
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "TokenizersBackend"})
    write_text(folder / "chat_template.jinja", "{{ messages }}\n")
    write_weights(folder / "adapter_model.safetensors")
    for name in BESIDE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("not to be sent\n", "utf-8")


def write_weights(path: Path, *, note: str = "pt", numbers: bytes = bytes(range(256))) -> None:
    """Write a safetensors file of one tensor of bytes."""
    tensor = {"dtype": "U8", "shape": [len(numbers)], "data_offsets": [0, len(numbers)]}
    header = json.dumps({"__metadata__": {"format": note}, "weight": tensor}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header + numbers)
