"""The processes of one training: which one this is, and what they tell each other; in one process there is no other.

What has an effect on files is done by the first, rank 0, and what decides how a training goes on is decided together:
a process that stopped alone would leave the others waiting for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, cast

import torch
import torch.distributed as processes

from charter.errors import CharterError, RunError

Sharding = Literal["none", "fsdp", "deepspeed"]
ValueT = TypeVar("ValueT")

_SHARDING: Mapping[str, Sharding] = {"ACCELERATE_USE_FSDP": "fsdp", "ACCELERATE_USE_DEEPSPEED": "deepspeed"}


def n_ranks() -> int:
    """Count the processes of this training."""
    return processes.get_world_size() if _are_joined() else 1


def rank() -> int:
    """Say which of them this one is, from 0."""
    return processes.get_rank() if _are_joined() else 0


def is_first() -> bool:
    """Whether this process writes what is written."""
    return rank() == 0


def barrier() -> None:
    """Wait until every process is here."""
    if n_ranks() > 1:
        processes.barrier()


def by_first(do: Callable[[], ValueT]) -> ValueT:
    """Do something in the first process alone, and give every process what came of it.

    Args:
        do: what is done; its value is pickled.

    Raises:
        CharterError: what the first process raised, in every process, so that none waits for another.
    """
    if n_ranks() == 1:
        return do()
    told: list[Any] = [None]
    if is_first():
        try:
            told = [(True, do())]
        except CharterError as error:
            told = [(False, error)]
        except Exception as error:
            told = [(False, RunError(f"the first process of the training failed: {error!r}"))]
            processes.broadcast_object_list(told, src=0)
            raise
    processes.broadcast_object_list(told, src=0)
    is_done, value = told[0]
    if not is_done:
        raise value
    return cast("ValueT", value)


def any_of(*flags: bool) -> tuple[bool, ...]:
    """Say of each flag whether it is set in any process."""
    if n_ranks() == 1:
        return flags
    numbers = torch.tensor([float(flag) for flag in flags], device=_device())
    processes.all_reduce(numbers, op=processes.ReduceOp.MAX)
    return tuple(bool(number) for number in numbers.tolist())


def gathered(value: ValueT) -> list[ValueT]:
    """Give every process the values of all, in the order of their ranks."""
    if n_ranks() == 1:
        return [value]
    values: list[Any] = [None] * n_ranks()
    processes.all_gather_object(values, value)
    return values


def sharding() -> Sharding:
    """Say how the weights are divided among the processes, as the launcher tells in the environment."""
    for name, kind in _SHARDING.items():
        if os.environ.get(name, "").lower() == "true":
            return kind
    return "none"


def shards_weights() -> bool:
    """Whether each process holds a part of the weights."""
    return sharding() != "none"


def _are_joined() -> bool:
    return processes.is_available() and processes.is_initialized()


def _device() -> torch.device:
    on_gpu = "nccl" in str(processes.get_backend())
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
