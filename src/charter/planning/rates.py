"""How fast a model reads, writes and learns: measured once on one machine, scaled to others, an estimate everywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

#: A CPU is one that multiplies bfloat16 or one that computes in float32; ``none`` is a scripted model's.
Device = Literal["cpu", "cpu in float32", "cuda", "none"]

_ABOUT_PROCESSOR = Path("/proc/cpuinfo")
_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # as the kernel writes them: of x86 twice, and of ARM


@dataclass(frozen=True)
class _Processor:
    """Tokens a second of SmolLM2-135M on two idle cores, seconds per token and token before it, and per step."""

    prefill: float
    decode: float
    decode_alone: float
    training: float
    attention: float
    step: float
    basis: str


# With AVX512-BF16, 42 tokens a second for a row alone and 550 for 32. Attention, loading and the cost of an optimiser's
# step beside its tokens are fitted to the stages of four whole runs there (contexts of 60 to 1,400 tokens, steps of 360
# to 960 tokens). In float32 with AVX2 (174 GFLOP/s, 21 GB/s), 8 for a row alone and 120 to 150 for 64; the rest is
# fitted to the stages of a run of ``smoke``.
_CPU_PARAMETERS = 135e6
_PROCESSORS = {
    "cpu": _Processor(
        prefill=2_800.0,
        decode=700.0,
        decode_alone=42.0,
        training=920.0,
        attention=6.8e-7,
        step=0.16,
        basis="2 idle CPU cores",
    ),
    "cpu in float32": _Processor(
        prefill=500.0,
        decode=160.0,
        decode_alone=9.0,
        training=65.0,
        attention=2.4e-6,
        step=1.0,
        basis="2 idle CPU cores without bfloat16 products",
    ),
}
_ATTENTION_GROWTH = 2 / 3  # attention grows with layers x width, parameters with layers x width squared

_START_SECONDS = 4.0  # importing the libraries, once a run
_LOAD_SECONDS, _LOADED_BYTES_PER_SECOND = 1.0, 1e9

# Not measured: a recent data-centre card at 400 dense bfloat16 TFLOP/s, of which about a third is reached; a step of
# decoding costs 40 ms of launching kernels, or the reading of all weights at 2 TB/s.
_GPU_FLOPS = 130e12
_GPU_STEP_SECONDS = 0.04
_GPU_BYTES_PER_SECOND = 2e12

_SERVED_PREFILL, _SERVED_DECODE_ALONE = 20_000.0, 50.0  # not measured: they differ tenfold between servers

_SIZE_IN_NAME = re.compile(r"(?<![0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Rates:
    """Tokens a second: read in a prompt, written, and trained on (forward and backward).

    ``decode`` is what many rows at once come to in the end, ``decode_alone`` a single row; ``max_rows`` run at once.
    ``basis`` says what the figures stand on. Seconds besides: ``attention`` for each token and each token before it,
    ``step`` for each step of an optimiser, ``loading`` for each loading of the model, ``start`` once a run.
    """

    prefill: float
    decode: float
    decode_alone: float
    training: float
    max_rows: int
    basis: str
    attention: float = 0.0
    step: float = 0.0
    loading: float = 0.0
    start: float = 0.0

    def seconds(self, n_read: float, n_written: float, *, n_rows: int, attended: float = 0.0) -> float:
        """Seconds to read and write so many tokens; a step of decoding costs something, and each row in it too."""
        at_once = max(1, min(n_rows, self.max_rows))
        written = n_written * (1 / (self.decode_alone * at_once) + 1 / self.decode)
        return n_read / self.prefill + written + attended * self.attention


def estimate_rates(n_parameters: float, device: Device, *, max_rows: int = 64) -> Rates:
    """Estimate a model's rates on a device.

    Args:
        n_parameters: of the model.
        device: a scripted model, on ``none``, takes no time.
        max_rows: rows that one forward pass serves.
    """
    if device == "none":
        never = float("inf")
        return Rates(never, never, never, never, max_rows, "scripted: no model runs")
    loading = _LOAD_SECONDS + 2 * n_parameters / _LOADED_BYTES_PER_SECOND
    size = f"{n_parameters / 1e9:.2g}B" if n_parameters >= 1e9 else f"{n_parameters / 1e6:.0f}M"
    if device != "cuda":
        scale = _CPU_PARAMETERS / n_parameters
        processor = _PROCESSORS[device]
        return Rates(
            processor.prefill * scale,
            processor.decode * scale,
            processor.decode_alone * scale,
            processor.training * scale,
            max_rows,
            f"measured with 135M parameters on {processor.basis}, scaled to {size}",
            attention=processor.attention / scale**_ATTENTION_GROWTH,
            step=processor.step / scale,
            loading=loading,
            start=_START_SECONDS,
        )
    step = max(_GPU_STEP_SECONDS, 2 * n_parameters / _GPU_BYTES_PER_SECOND)
    prefill = _GPU_FLOPS / (2 * n_parameters)
    basis = f"a rough figure for a data-centre GPU and {size} parameters, not measured"
    # Attention is left out: at a thousand tokens it is some hundredths of the layers' operations.
    return Rates(prefill, prefill, 1 / step, prefill / 3, max_rows, basis, loading=loading, start=_START_SECONDS)


def served_rates(max_at_once: int) -> Rates:
    """Guess the rates of a model behind a server, of which nothing is known before it is asked."""
    decode = _SERVED_DECODE_ALONE * max_at_once
    basis = (
        f"a guess at a server: {_SERVED_DECODE_ALONE:.0f} tokens a second for each call, {max_at_once} calls at once"
    )
    return Rates(_SERVED_PREFILL, decode, _SERVED_DECODE_ALONE, decode, max_at_once, basis)


def parameters_in_name(name: str) -> float | None:
    """Read the size out of a model's name, such as 7e9 from ``Mistral-7B``; None where there is none."""
    found = _SIZE_IN_NAME.findall(name)
    if not found:
        return None
    number, unit = found[-1]
    return float(number) * (1e9 if unit.lower() == "b" else 1e6)


def find_device(wanted: str) -> Device:
    """Say what a model would run on, without loading anything: drivers and processors leave files that tell."""
    has_gpu = Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidia0").exists()
    if wanted.startswith("cuda") or (wanted == "auto" and has_gpu):
        return "cuda"
    return "cpu" if _multiplies_bfloat16() else "cpu in float32"


def _multiplies_bfloat16() -> bool:
    """Read off the kernel's description of the processor; where there is none, nothing speaks against it."""
    try:
        words = _ABOUT_PROCESSOR.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return True
    return not _CPU_FLAGS.isdisjoint(words)
