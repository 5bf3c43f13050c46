"""How a base model is put into vLLM, in this process or in a server: arguments, limits and reasons for failure."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.engines.footprint import count_cores, estimate_bytes, free_bytes
from charter.engines.inspection import ADAPTER_CONFIGURATION, ADAPTER_WEIGHTS, CONFIGURATION, read_configuration
from charter.engines.vllm.installed import InstalledVllm
from charter.errors import ModelError

# Nothing is reported to anyone, and what is written goes to our log alone.
_QUIET = {"VLLM_NO_USAGE_STATS": "1", "VLLM_DO_NOT_TRACK": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
# On a CPU vLLM computes on all cores but one, which its scheduler polls on: of two that would be half of them.
_ALL_CORES = {"VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}
_FEW_CORES = 2  # with more of them, one that is shared with the scheduler would hold the others up

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM makes room for
_MAX_ADAPTERS = 4  # in memory at once: a run has two
_CPU_CACHE_BYTES = 4 * 2**30
_CPU_CONTEXT = 8192  # tokens: a longer one is set in the recipe
_CPU_BATCH_TOKENS = 2048
_BEFORE = r"^(?:\([^)]*\) )?(?:\w+ \d\d-\d\d [\d:]+ \[[^\]]*\] )?"  # process, time and place of a line of the log
_CAUSE = re.compile(_BEFORE + r"((?:\w+\.)*\w*(?:Error|Exception): .+)$", re.MULTILINE)
_NO_CAUSE = ("initialization failed", "Engine process failed")


def default_environment() -> dict[str, str]:
    """Give the variables that vLLM gets where they are not set."""
    return _QUIET | (_ALL_CORES if count_cores() <= _FEW_CORES else {})


@dataclass(frozen=True)
class HostSettings:
    """How a base is loaded.

    Attributes:
        dtype: ``auto`` takes bfloat16 where the hardware multiplies it, else float32.
        device: ``auto`` takes what the installed build computes on.
        max_rows: rows that are drawn at once.
        n_context: the longest text; None takes the model's own limit, or what fits into memory.
        memory_share: of a GPU's memory, for weights and cache; on a CPU the cache takes 4 GiB at most.
        n_gpus: over which each layer is divided.
        compiled: whether layers are compiled first, a minute at the start; None leaves it to vLLM on a GPU, and
            compiles nothing on a CPU.
    """

    dtype: str = "auto"
    device: str = "auto"
    max_rows: int = 256
    n_context: int | None = None
    memory_share: float = 0.9
    n_gpus: int = 1
    compiled: bool | None = None


@dataclass(frozen=True)
class Room:
    """What adapters need of a base that they are put on: room for their rank, in the layers that they change."""

    rank: int = 0
    layers: frozenset[str] = frozenset()

    def __or__(self, other: Room) -> Room:
        return Room(max(self.rank, other.rank), self.layers | other.layers)


@dataclass(frozen=True)
class Launch:
    """A base model as vLLM is told to load it.

    Attributes:
        base: its folder, checked.
        settings: how it is loaded.
        installed: the build of vLLM that does.
        trusts: whether code that comes with the model may run.
        room: what there must be for adapters.
    """

    base: Path
    settings: HostSettings
    installed: InstalledVllm
    trusts: bool = False
    room: Room = Room()

    def __post_init__(self) -> None:
        if self.installed.lacks:
            raise ModelError(f"{self.installed}: {'; '.join(self.installed.lacks)}")
        device, runs_on = self.settings.device, self.installed.runs_on
        wanted = {"auto": runs_on, "cpu": "CPU", "cuda": "GPU"}.get(device)
        if wanted is None:
            raise ModelError(f"vLLM takes no device {device!r}; use auto, and choose GPUs with CUDA_VISIBLE_DEVICES")
        if wanted != runs_on:
            raise ModelError(f"{self.installed} cannot run on device {device!r}; use auto, or install the other build")
        if self.settings.compiled and self.on_cpu and shutil.which(_compiler()) is None:
            raise ModelError(
                f"'compiled' wants a C++ compiler, and there is no {_compiler()} on the PATH; install one (on Debian "
                "and Ubuntu: apt install g++ python3-dev), or leave 'compiled' out"
            )

    @property
    def on_cpu(self) -> bool:
        """Whether the build computes on a CPU."""
        return self.installed.runs_on == "CPU"

    @property
    def dtype(self) -> str:
        """The number format: what vLLM's own environment told of the hardware holds, not what this one sees."""
        if self.settings.dtype == "auto":
            return "bfloat16" if self.installed.computes_bfloat16 else "float32"
        import torch

        from charter.engines.devices import choose_dtype

        device = torch.device("cpu" if self.on_cpu else "cuda")
        return str(choose_dtype(self.settings.dtype, device)).removeprefix("torch.")

    @property
    def n_bytes(self) -> int:
        """What it takes in memory, by estimate: of a GPU its whole share."""
        if self.on_cpu:
            return estimate_bytes(self.base, 4 if self.dtype == "float32" else 2) + _CPU_CACHE_BYTES
        return int(self.installed.gpu_bytes * self.settings.memory_share)

    def free_bytes(self) -> int:
        """Tell how much memory is free where it goes: nothing of a GPU that this environment does not see."""
        if self.on_cpu:
            return free_bytes("cpu")
        import torch

        return free_bytes("cuda:0") if torch.cuda.is_available() else 0

    @property
    def places(self) -> frozenset[str]:
        """The memories that it lies in."""
        return frozenset({"cpu"} if self.on_cpu else {f"cuda:{n}" for n in range(self.settings.n_gpus)})

    @property
    def arguments(self) -> dict[str, Any]:
        """What vLLM is told, by the names of its own arguments."""
        settings = self.settings
        given: dict[str, Any] = {
            "model": str(self.base),
            "dtype": self.dtype,
            "seed": 0,
            "load_format": "safetensors",  # pickles are never read
            "generation_config": "vllm",  # nothing of the model's own taste in sampling
            "enable_prefix_caching": True,
            "max_model_len": settings.n_context or -1,
            "max_num_seqs": settings.max_rows,
            "max_logprobs": 64,
            "tensor_parallel_size": settings.n_gpus,
            "disable_log_stats": True,
        }
        if self.trusts:
            given["trust_remote_code"] = True
        if self.room.rank:
            # Layers that no adapter changes are left as they are: with room in the last one, vLLM's arithmetic on a
            # CPU tells no log-probabilities of a prompt (0.32).
            layers = sorted(self.room.layers)
            given |= {"enable_lora": True, "max_lora_rank": self.room.rank, "max_loras": _MAX_ADAPTERS}
            given["lora_target_modules"] = layers
        if self.on_cpu:
            return given | self._cpu_arguments()
        if settings.compiled is not None:
            given["enforce_eager"] = not settings.compiled
        return given | {"gpu_memory_utilization": settings.memory_share}

    def _cpu_arguments(self) -> dict[str, Any]:
        """Say what is otherwise on a CPU.

        A prompt is read in one piece: vLLM would take back the chance that a piece used up, which is beyond the random
        generators of a CPU, and ends it (0.32, "CPU Generator does not use offset"). Nothing is compiled unless that is
        asked for: it takes a minute, which a short run does not get back.
        """
        longest = self.settings.n_context or min(context_of(self.base), _CPU_CONTEXT)
        return {
            "enforce_eager": not self.settings.compiled,
            "kv_cache_memory_bytes": _cpu_cache_bytes(),
            "max_model_len": longest,
            "max_num_batched_tokens": max(longest, _CPU_BATCH_TOKENS),
            "enable_chunked_prefill": False,
        }


def room_for(adapter: Path) -> Room:
    """Say what vLLM must leave room for, so that an adapter fits.

    Raises:
        ModelError: where vLLM puts no such adapter on a model.
    """
    file = adapter / ADAPTER_CONFIGURATION
    told = read_configuration(file)
    unknown = [key for key in ("modules_to_save", "use_dora", "alpha_pattern", "rank_pattern") if told.get(key)]
    if told.get("bias", "none") != "none":
        unknown.append("bias")
    if unknown:
        raise ModelError(
            f"{file}: vLLM puts no adapter with {', '.join(unknown)} on a model; merge it into its base, or take "
            "'engine: transformers'"
        )
    own = told.get("r")
    if not isinstance(own, int) or own < 1:
        raise ModelError(f"{file}: its rank, r, is {own!r}; expected a whole number from 1 on: save the adapter again")
    rank = next((size for size in _RANKS if size >= own), None)
    if rank is None:
        raise ModelError(f"{file}: its rank is {own}; vLLM takes {_RANKS[-1]} at most: merge it into its base")
    return Room(rank, _layers_of(adapter))


def _layers_of(adapter: Path) -> frozenset[str]:
    """Name the kinds of layers that an adapter changes, such as ``q_proj``."""
    from safetensors import safe_open

    with safe_open(adapter / ADAPTER_WEIGHTS, framework="numpy") as weights:
        return frozenset(key.split(".lora_")[0].rpartition(".")[2] for key in weights.keys())  # noqa: SIM118 - no mapping


def find_cause(log: str) -> str:
    """Find why vLLM's processes ended, in what they wrote; empty where they told nothing."""
    told = (cause for cause in _CAUSE.findall(log) if not any(empty in cause for empty in _NO_CAUSE))
    return next(told, "")  # what comes after is what others made of it


def ended(cause: str) -> ModelError:
    """Say that vLLM is gone, by no fault of a call: no other would be answered."""
    return ModelError(f"vLLM ended in the middle of its work ({cause}); run the same command again to go on")


def context_of(base: Path) -> int:
    """Read the longest text that a model was made for."""
    told = read_configuration(base / CONFIGURATION)
    of_text = told.get("text_config") or {}  # beside that of pictures
    return int(told.get("max_position_embeddings") or of_text.get("max_position_embeddings") or _CPU_CONTEXT)


def _compiler() -> str:
    """Name the compiler that torch asks for C++."""
    return os.environ.get("CXX") or "g++"


def _cpu_cache_bytes() -> int:
    """Take a quarter of the memory that is free, 4 GiB at most."""
    return min(_CPU_CACHE_BYTES, free_bytes("cpu") // 4)
