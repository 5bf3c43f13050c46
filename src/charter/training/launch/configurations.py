"""Files that say how ``accelerate launch`` starts a training: ours by name, or a user's own by path."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from charter.errors import RecipeError
from charter.files.yaml_reading import read_yaml
from charter.recipe.launches import launch_files
from charter.spelling import nearest

Kind = Literal["one", "copies", "fsdp", "deepspeed"]

_KINDS: Mapping[str, Kind] = {"NO": "one", "MULTI_GPU": "copies", "FSDP": "fsdp", "DEEPSPEED": "deepspeed"}
_HERE = "LOCAL_MACHINE"


@dataclass(frozen=True, slots=True)
class Launch:
    """How the processes of a training are started.

    Attributes:
        path: the file that says so, in accelerate's own format.
        kind: one process; copies of the model in several; or its weights sharded, by FSDP or DeepSpeed.
        on_cpu: whether they keep off GPUs.
        n_processes: how many; None: as many as there are GPUs.
    """

    path: Path
    kind: Kind
    on_cpu: bool
    n_processes: int | None

    @property
    def shards_weights(self) -> bool:
        """Whether each process holds a part of the weights."""
        return self.kind in {"fsdp", "deepspeed"}

    def count(self) -> int:
        """Count the processes on this machine."""
        import torch

        return self.n_processes or max(1, torch.cuda.device_count())

    def lacks(self) -> str:
        """Say what stands in its way on this machine, with what to do about it; empty where nothing is known to."""
        import torch

        n_gpus = torch.cuda.device_count()
        if self.kind == "deepspeed" and importlib.util.find_spec("deepspeed") is None:
            return "DeepSpeed is not installed; install it (pip install deepspeed), or take fsdp2"
        if self.on_cpu:
            return ""
        if not n_gpus:
            return "it needs a GPU, and torch sees none here; take cpu-2, or leave training.launch out"
        if self.count() > n_gpus:
            return f"it starts {self.count()} processes, and there are {n_gpus} GPUs; lower training.n_processes"
        return ""


def find_launch(name: str, n_processes: int | None = None) -> Launch:
    """Find and read the file of a name or path.

    Args:
        name: of a file of ours, or the path of another.
        n_processes: takes the place of the number in the file.

    Raises:
        RecipeError: where there is no such file, or it starts something that is no training on this machine.
    """
    path = launch_files().get(name) or Path(name).expanduser()
    if not path.is_file():
        near = nearest(name, launch_files())
        meant = f" (did you mean {near}?)" if near else ""
        known = ", ".join(launch_files())
        raise RecipeError(f"there is no launch file {name!r}{meant}; name one of {known}, or a file of accelerate's")
    values = read_yaml(path, error=RecipeError).data
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: holds no mapping; write one with 'accelerate config --config_file {path}'")
    return _read(path, values, n_processes)


def _read(path: Path, values: Mapping[str, Any], n_processes: int | None) -> Launch:
    kind = _KINDS.get(str(values.get("distributed_type")))
    if kind is None:
        told = values.get("distributed_type")
        raise RecipeError(
            f"{path}: distributed_type is {told!r}; expected {', '.join(_KINDS)}, as accelerate writes it"
        )
    if (place := values.get("compute_environment", _HERE)) != _HERE:
        raise RecipeError(f"{path}: compute_environment is {place!r}, and a run starts processes here; use {_HERE}")
    if values.get("num_machines", 1) != 1:
        raise RecipeError(
            f"{path}: num_machines is {values['num_machines']}, and a run starts processes on its own machine alone; "
            "set it to 1"
        )
    if kind == "fsdp" and _section(path, values, "fsdp_config").get("fsdp_version") != 2:
        raise RecipeError(f"{path}: fsdp_config.fsdp_version is not 2, and no other version was tried; set it to 2")
    n = 1 if kind == "one" else n_processes or values.get("num_processes")
    if kind == "one" and n_processes not in {None, 1}:
        raise RecipeError(f"{path}: starts one process, and training.n_processes is {n_processes}; take several-gpus")
    if n is not None and (not isinstance(n, int) or n < 1):
        n = None  # -1 is accelerate's word for a number that is said elsewhere
    if kind == "copies" and n == 1:
        raise RecipeError(
            f"{path}: starts several processes, and training.n_processes is 1; take one-gpu, or 2 or more"
        )
    return Launch(path, kind, bool(values.get("use_cpu")), n)


def _section(path: Path, values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    given = values.get(name) or {}
    if not isinstance(given, Mapping):
        raise RecipeError(f"{path}: {name} is {given!r}; expected a mapping, as accelerate writes it")
    return given
