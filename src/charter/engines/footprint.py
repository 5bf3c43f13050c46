"""How much memory a model takes, by estimate, and how much of it and how many cores there are."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import psutil

from charter.engines.inspection import count_parameters

#: What a model's caches may take of the memory that it leaves: others may come beside it, and its passes need some too.
CACHE_SHARE = 0.5
_MARGIN_BYTES = 2 * 2**30  # keys and values of the running rows, activations, libraries
_FULL = 4  # bytes of a number in 32 bits
_CONTAINER = Path("/sys/fs/cgroup")  # of this process, where it is in a container


def estimate_bytes(weights: Path, number_bytes: int, *, merges: bool = False) -> int:
    """Estimate what a model takes in memory.

    Args:
        weights: the folder with its weights.
        number_bytes: of a number as it is loaded, however it is stored.
        merges: whether an adapter is merged into them, in 32 bits.
    """
    return count_parameters(weights) * (number_bytes + (_FULL if merges else 0)) + _MARGIN_BYTES


def free_bytes(device: str) -> int:
    """Tell how much memory is free on a device, such as ``cpu`` or ``cuda:1``; others share the machine's."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    return int(min(psutil.virtual_memory().available, _container_bytes()))


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _container_bytes() -> float:
    """Tell what a container may still take; files that it has read are given back when they are in the way."""
    try:
        most = int((_CONTAINER / "memory.max").read_text())
        used = int((_CONTAINER / "memory.current").read_text())
        cached = re.search(r"^inactive_file (\d+)$", (_CONTAINER / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):  # no container of this kind, or "max"
        return math.inf
    return most - used + int(cached.group(1) if cached else 0)
