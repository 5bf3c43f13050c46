"""What a run ran on: versions, processor, GPUs, models. No paths, names of people or machines, or secrets."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charter.engines.footprint import count_cores
from charter.engines.weights import ModelFolder

_PACKAGES = (
    "charter", "torch", "transformers", "trl", "peft", "datasets", "accelerate", "tokenizers", "safetensors", "numpy",
    "pyarrow", "pydantic",
)  # fmt: skip
_SECONDS_TO_ANSWER = 10


def describe_environment(models: Mapping[str, ModelFolder | None], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the machine and the software, as a JSON object."""
    return {
        "charter": importlib.metadata.version("charter"),
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor_name(),
        "n_cpus": count_cores(),
        "gpus": gpu_names(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "models": {
            role: {"name": _model_name(folder) or inputs[f"model {role}"], "fingerprint": inputs[f"model {role}"]}
            for role, folder in models.items()
        },
    }


def _model_name(folder: ModelFolder | None) -> str:
    """Name a model without saying where it lies on this machine; empty where it does not lie here."""
    if folder is None:
        return ""
    return folder.path.name if folder.source == "folder" else folder.name


def processor_name() -> str:
    """Name the processor, as the system does."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gpu_names() -> list[str]:
    """Name the GPUs, as their driver's own command does; none without it.

    They are not asked through torch, which would take some of a GPU's memory for a process that may never use it.
    """
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    asked = [command, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(asked, capture_output=True, timeout=_SECONDS_TO_ANSWER, check=True)  # noqa: S603 - the driver's
    except (OSError, subprocess.SubprocessError):
        return []
    return [name for line in answer.stdout.decode("utf-8", "replace").splitlines() if (name := line.strip())]
