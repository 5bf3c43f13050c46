"""Which device runs a model, and which number format it is fast in: decided once, for engines and trainings alike."""

from __future__ import annotations

import torch

from charter.errors import ModelError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_CPU_FEATURES = ("avx512_bf16", "amx_bf16", "bf16")  # of x86 twice, and of ARM; each multiplies bfloat16 in hardware


def choose_device(device: str) -> torch.device:
    """Choose the device: a GPU where there is one, if ``auto``.

    Raises:
        ModelError: for a device that this machine does not have.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"no device {device!r} on this machine; use auto, cpu or cuda") from error
    return chosen


def name_device(device: torch.device) -> str:
    """Name a device as one: ``cuda`` is the card that is current."""
    if device.type == "cuda" and device.index is None:
        return f"cuda:{torch.cuda.current_device()}"
    return str(device)


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Choose the number format: bfloat16 where the hardware multiplies it, else float32, if ``auto``."""
    if dtype == "auto":
        return torch.bfloat16 if computes_in_bfloat16(device) else torch.float32
    if dtype not in _DTYPES:
        raise ModelError(f"no number format {dtype!r}; use auto or one of {', '.join(_DTYPES)}")
    if dtype == "float16" and device.type == "cpu":
        raise ModelError("float16 on a CPU is slow and overflows; use auto, bfloat16 or float32")
    return _DTYPES[dtype]


def computes_in_bfloat16(device: torch.device) -> bool:
    """Tell whether the device multiplies bfloat16 in hardware; emulating it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False  # no other kind of device was ever tried
    able = torch.cpu.get_capabilities()
    return any(bool(able.get(feature)) for feature in _CPU_FEATURES)
