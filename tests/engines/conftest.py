"""Tiny models of the kinds that the in-process engine tells apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from charter.publishing.gguf import write_gguf
from engines.servers import LlamaServer, embedded_gguf, serve


@pytest.fixture(scope="session")
def tiny_sliding_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's tokenizer with a random Mistral whose window is shorter than the tests' prompts."""
    from transformers import MistralConfig, MistralForCausalLM

    return _save_beside(
        tiny_model, tmp_path_factory.mktemp("tiny_sliding"), MistralForCausalLM, MistralConfig, sliding_window=16
    )


@pytest.fixture(scope="session")
def tiny_recurrent_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's tokenizer with a random Mamba: no attention, and a state that padding would change."""
    from transformers import MambaConfig, MambaForCausalLM

    return _save_beside(
        tiny_model, tmp_path_factory.mktemp("tiny_recurrent"), MambaForCausalLM, MambaConfig, state_size=8
    )


@pytest.fixture(scope="session", params=["Qwen2", "Qwen3", "Gemma", "Granite", "GPTNeoX"])
def tiny_relative(request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's tokenizer with a random model of another family of decoders."""
    import transformers

    family = str(request.param)
    model_class, config_class = (getattr(transformers, family + kind) for kind in ("ForCausalLM", "Config"))
    folder = tmp_path_factory.mktemp(f"tiny_{family.lower()}")
    settings = {"Gemma": {"head_dim": 16}, "Qwen3": {"head_dim": 32}, "Granite": {"logits_scaling": 3.0}}
    return _save_beside(
        tiny_model, folder, model_class, config_class, max_position_embeddings=2048, **settings.get(family, {})
    )


@pytest.fixture(scope="session")
def tiny_wide_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's tokenizer with a random Llama of wide heads: vLLM's arithmetic on a CPU knows no narrow ones."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny_wide")
    return _save_beside(tiny_model, folder, LlamaForCausalLM, LlamaConfig, head_dim=64, max_position_embeddings=1024)


@pytest.fixture(scope="session")
def tiny_adapter(tiny_wide_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter on ``tiny_wide_model`` that changes its answers."""
    return _save_adapter(tiny_wide_model, tmp_path_factory.mktemp("tiny_adapter"), seed=3, rank=4)


@pytest.fixture(scope="session")
def tiny_wider_adapter(tiny_wide_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another adapter on it, which takes more room."""
    return _save_adapter(tiny_wide_model, tmp_path_factory.mktemp("tiny_wider_adapter"), seed=5, rank=16)


def _save_adapter(base: Path, folder: Path, *, seed: int, rank: int) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(base)
        settings = LoraConfig(r=rank, target_modules="all-linear", init_lora_weights=False)
        get_peft_model(model, settings).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_gguf(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as llama.cpp reads it."""
    path = tmp_path_factory.mktemp("tiny_gguf") / "tiny.gguf"
    write_gguf(tiny_model, path, name="tiny")
    return path


@pytest.fixture(scope="session")
def tiny_server(tiny_gguf: Path) -> LlamaServer:
    """A llama.cpp server of the tiny model, in 32 bits throughout."""
    return serve(tiny_gguf, exact=True)


@pytest.fixture(scope="session")
def other_tiny_server(tiny_gguf: Path) -> LlamaServer:
    """Another one."""
    return serve(tiny_gguf, exact=True)


@pytest.fixture(scope="session")
def smollm2_server() -> LlamaServer:
    """A llama.cpp server of the embedded model, quantised as it comes."""
    return serve(embedded_gguf("smollm2-135m"), n_threads=2)


def _save_beside(tokenizer: Path, folder: Path, model_class: type, config_class: type, **settings: object) -> Path:
    import json

    import torch

    shutil.copytree(tokenizer, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors"))
    known = json.loads((tokenizer / "config.json").read_text())
    shape = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
    names = (*shape, "intermediate_size", "initializer_range", "bos_token_id", "eos_token_id", "pad_token_id")
    kept = {name: known[name] for name in names}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model_class(config_class(**kept, **settings)).save_pretrained(folder)
    return folder
