"""How much memory a model takes, by estimate, and how much there is."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MARGIN_BYTES = 2 * 2**30  # keys and values of the running rows, activations, libraries
_MEMINFO = Path("/proc/meminfo")


def estimate_bytes(weights: Path, *, merges: bool = False) -> int:
    """Estimate what a model takes in memory.

    Args:
        weights: the folder with its weights.
        merges: whether an adapter is merged into them, in 32 bits.
    """
    n_bytes = sum(file.stat().st_size for file in weights.glob("*.safetensors"))
    return n_bytes * (3 if merges else 1) + _MARGIN_BYTES


def free_bytes(device: str) -> int:
    """Tell how much memory is free on a device, ``auto`` being a GPU where there is one."""
    if device != "cpu":
        import torch

        if torch.cuda.is_available():
            return int(torch.cuda.mem_get_info()[0])
    if _MEMINFO.exists():
        found = re.search(r"^MemAvailable:\s+(\d+) kB$", _MEMINFO.read_text(), re.MULTILINE)
        if found:
            return int(found.group(1)) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
