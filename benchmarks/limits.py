"""The machine's limits, measured in the run itself, and what they allow a model of a given size.

A token costs about 2 operations per parameter in a forward pass (one product, one sum; attention itself, small at these
lengths, is left out), so that products bound prompts. Drawing moves all weights and every running row's cache through
memory at each step, so that bandwidth bounds it at small batches. Both probes run as often as fits into a fraction of a
second, and the fastest turn counts: a limit is what the machine can do undisturbed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from charter.engines.devices import choose_dtype

_GEMM_SIZE = {"cpu": 1024, "cuda": 8192}
_STREAM_BYTES = {"cpu": 2**28, "cuda": 2**32}  # many times a processor's cache
_PROBE_SECONDS = 0.5

# Operations per parameter and token. Frozen weights pass gradients on (2 more) and take none themselves.
_FORWARD, _ADAPTER_STEP = 2, 4


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured: ``gemm`` operations per second in a number format, ``bandwidth`` bytes per second read."""

    gemm: float
    bandwidth: float
    number_format: str = "bfloat16"

    def __str__(self) -> str:
        return (
            f"limits: {self.number_format} GEMM {self.gemm / 1e9:.0f} GFLOP/s, memory {self.bandwidth / 1e9:.1f} GB/s"
        )


@dataclass(frozen=True, slots=True)
class ModelSize:
    """What a model asks of the machine."""

    n_params: int
    weight_bytes: int
    cache_bytes_per_token: int


def measure_machine(device: str | None = None) -> Machine:
    """Measure products, in the number format that models are computed in there, and bandwidth.

    Args:
        device: ``cpu`` or ``cuda``; None for the GPU where there is one.
    """
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = choose_dtype("auto", place)
    return Machine(_gemm_rate(place, dtype), _read_rate(place), str(dtype).removeprefix("torch."))


def size_of(model: Any) -> ModelSize:
    """Read a loaded model's size off it."""
    config = model.config.get_text_config()
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    n_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    weights = list(model.parameters())
    return ModelSize(
        n_params=sum(weight.numel() for weight in weights),
        weight_bytes=sum(weight.numel() * weight.element_size() for weight in weights),
        cache_bytes_per_token=2 * config.num_hidden_layers * n_heads * head_size * model.dtype.itemsize,
    )


def prefill_limit(machine: Machine, size: ModelSize) -> float:
    """Bound the tokens per second of passes over prompts."""
    return machine.gemm / (_FORWARD * size.n_params)


def decode_limit(machine: Machine, size: ModelSize, batch: float, n_context: float) -> float:
    """Bound the tokens per second of drawing ``batch`` rows at once, each with ``n_context`` tokens in its cache."""
    step_bytes = size.weight_bytes + batch * n_context * size.cache_bytes_per_token
    return min(prefill_limit(machine, size), batch * machine.bandwidth / step_bytes)


def training_limit(machine: Machine, size: ModelSize, *, with_reference: bool) -> float:
    """Bound the tokens per second of training an adapter; a reference is one more forward pass."""
    return machine.gemm / ((_ADAPTER_STEP + (_FORWARD if with_reference else 0)) * size.n_params)


def least_seconds(  # noqa: PLR0917 - the machine, the model, and the work in the order it is done
    machine: Machine, size: ModelSize, n_prompt: int, n_drawn: int, batch: float, n_context: float
) -> float:
    """Bound the time of reading ``n_prompt`` tokens and drawing ``n_drawn``."""
    return n_prompt / prefill_limit(machine, size) + n_drawn / decode_limit(machine, size, batch, n_context)


def _gemm_rate(place: torch.device, dtype: torch.dtype) -> float:
    n = _GEMM_SIZE[place.type]
    left, right = (torch.randn(n, n, device=place).to(dtype) for _ in range(2))
    return 2 * n**3 / _fastest(lambda: left @ right, place)


def _read_rate(place: torch.device) -> float:
    values = torch.ones(_STREAM_BYTES[place.type] // 4, device=place)
    return values.numel() * 4 / _fastest(values.sum, place)


@torch.inference_mode()
def _fastest(work: Callable[[], object], place: torch.device) -> float:
    best, until = float("inf"), 0.0
    work()  # the first turn allocates
    while not until or time.perf_counter() < until:
        until = until or time.perf_counter() + _PROBE_SECONDS
        _settle(place)
        began = time.perf_counter()
        work()
        _settle(place)
        best = min(best, time.perf_counter() - began)
    return best


def _settle(place: torch.device) -> None:
    if place.type == "cuda":
        torch.cuda.synchronize()
