"""What to change where a stage does not fit: the least that helps, by the names that a user sets. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from charter.planning.hardware import Machine
from charter.planning.memory import USABLE, Memory, Sequence, Setup, training, usable
from charter.planning.shapes import Shape
from charter.runs.roles import role_key

_MOST_DEVICES, _GIB = 1024, 2**30


def for_generating(machine: Machine, held: Memory, role: str, n_devices: int) -> str:
    """Say what helps a role's model that does not fit to answer.

    Args:
        machine: that it does not fit on.
        held: what one row needs on each device.
        role: that the model plays.
        n_devices: over which it is divided.
    """
    n = 2 * n_devices
    while held.total * n_devices / n > usable(machine.device) and n < _MOST_DEVICES:
        n *= 2
    larger = f"take devices of {math.ceil(held.total / USABLE / _GIB)} GiB, a smaller model"
    divided = f"divide it over {n} ({role_key(role)}: engine vllm, n_gpus {n})"
    if role == "policy":
        return f"{larger}, or {divided}"
    return f"{larger}, {divided}, or ask a server ({role_key(role)}: engine http)"


def for_training(
    machine: Machine, shape: Shape, setup: Setup, sequence: Sequence, stage: str, *, beside: float = 0.0
) -> str:
    """Say the least change of a training that fits, from the cheapest to the dearest, by the keys of a stage.

    Args:
        machine: that it does not fit on.
        shape: of what is trained.
        setup: how it is trained.
        sequence: the longest that is trained on.
        stage: whose training it is.
        beside: bytes of what lies on the device besides.
    """
    for what, changed in _changes(setup, stage):
        if training(shape, machine.device, changed, sequence).total + beside <= usable(machine.device):
            return what
    return "take a larger device, or a smaller model"


def _changes(setup: Setup, stage: str) -> Iterator[tuple[str, Setup]]:
    """Give changes of a training, from what costs least to what costs most: batches, time, precision, devices."""
    for batch in _halves(setup.batch):
        times = setup.batch // batch
        said = f"set {stage}.batch_size to {batch} and multiply {stage}.accumulation by {times}"
        yield said, replace(setup, batch=batch, accumulation=setup.accumulation * times)
    saving = replace(setup, checkpointing=True)
    said = f"set {stage}.gradient_checkpointing to true"
    if not setup.checkpointing:
        yield said, saving
    least = replace(saving, batch=1, accumulation=setup.step)
    fewest = f"{said} and {stage}.batch_size to 1"
    yield fewest, least
    if setup.n_devices > 1:
        yield from _spread(saving, said, stage, setup.n_devices)
    if setup.mode == "full":
        yield f"train an adapter, not all weights (--training lora), and {said}", replace(saving, mode="lora")
    if setup.mode != "qlora" and setup.sharding == "none":
        four_bits = "train behind weights in 4 bits (QLoRA: sft.lora.quantise; here --training qlora)"
        yield f"{four_bits}, and {said}", replace(saving, mode="qlora")
        yield f"{four_bits}, {fewest}", replace(least, mode="qlora")
    n = 2 * setup.n_devices
    while n <= _MOST_DEVICES and stage != "rl":  # which has one device
        yield from _spread(saving, said, stage, n)
        n *= 2


def _spread(setup: Setup, said: str, stage: str, n: int) -> Iterator[tuple[str, Setup]]:
    """Spread the weights over so many devices, each of which needs a row of every step; 4-bit ones cannot be."""
    if setup.mode == "qlora" or (setup.sharding != "none" and n == setup.n_devices):
        return
    where = "" if n == setup.n_devices else f" over {n} devices"
    batch = "" if setup.step >= n else f", {stage}.batch_size to {n}"
    changed = replace(setup, sharding="zero3", n_devices=n, batch=setup.batch if setup.step >= n else n)
    yield f"spread the weights{where} (training.launch: fsdp2 or zero3; here --sharding zero3), {said}{batch}", changed


def _halves(batch: int) -> Iterator[int]:
    while batch > 1:
        batch //= 2
        yield batch
