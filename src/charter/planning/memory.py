"""What a stage holds on each device: weights, caches, activations, gradients, the optimiser's state. Pure.

Bytes, by what they are for: what is there at the fullest moment, to some tens of per cent. Allocators keep more than is
in use, which ``USABLE`` leaves room for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from charter.engines.footprint import CACHE_SHARE
from charter.planning.hardware import Device
from charter.planning.shapes import Shape
from charter.planning.sizing import Work
from charter.recipe.settings import LoraSettings

Mode = Literal["lora", "qlora", "full"]
Sharding = Literal["none", "fsdp2", "zero3"]

#: The share of a device's memory that can be in use at once; the rest is lost between blocks of other sizes.
USABLE = 0.92
_RESERVED = {"gpu": 1.0e9, "cpu": 0.9e9}  # of the driver and the libraries, before a model is loaded
_HALF, _FULL = 2, 4  # bytes
_QUANTISED = 0.5 + 0.016  # bytes of a weight in NF4, with doubly quantised scales (arXiv 2305.14314, section 3)
_ADAM = 2 * _FULL
_LOGITS_AT_ONCE = {"gpu": 2**28, "cpu": 2**23}  # training.logprobs
_EAGER_UP_TO = 512  # tokens: a CPU keeps the attention of rows that long (training.trainer)
_CHUNK = 8_192  # tokens that one pass over prompts reads, about


@dataclass(frozen=True)
class Setup:
    """How a model is trained: what of it, spread how over how many devices, in what batches.

    A step has ``batch`` times ``accumulation`` rows, of which each device takes its part, ``batch`` of them at once.
    Weights that are not trained have ``number_bytes`` each.
    """

    mode: Mode
    sharding: Sharding
    n_devices: int
    batch: int
    accumulation: int
    checkpointing: bool
    lora: LoraSettings
    number_bytes: int = _HALF

    @property
    def step(self) -> int:
        """Rows of a step, on all devices."""
        return self.batch * self.accumulation

    @property
    def n_used(self) -> int:
        """Devices that have a row of every step."""
        return min(self.n_devices, self.step)

    def at_once(self, n_devices: int) -> int:
        """Rows of one pass on each of so many devices."""
        return min(self.batch, math.ceil(self.step / n_devices))

    def passes(self, n_devices: int) -> int:
        """Passes of a step on each of so many devices."""
        return math.ceil(math.ceil(self.step / n_devices) / self.at_once(n_devices))

    def trained(self, shape: Shape) -> float:
        """Count the parameters that are trained."""
        return shape.parameters if self.mode == "full" else shape.adapter(self.lora.r, self.lora.targets)


@dataclass(frozen=True)
class Sequence:
    """The longest that is trained on: its tokens, those that bear loss, and how many sequences a row has."""

    tokens: float
    scored: float
    sides: int


@dataclass(frozen=True)
class Memory:
    """Bytes on each device, by what they are for."""

    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self.parts.values())

    def fits(self, device: Device) -> bool:
        """Whether a device has room for it."""
        return self.total <= usable(device)


def usable(device: Device) -> float:
    """Bytes of a device that can be in use at once."""
    return device.memory * USABLE


def rows_that_fit(shape: Shape, device: Device, work: Work, number_bytes: int, *, by_vllm: bool) -> int:
    """Count the rows whose caches a device has room for beside the weights; 0 where it has for none.

    vLLM takes what the weights leave; our own engine leaves a part of it, but for a row that runs alone.
    """
    left = usable(device) - _RESERVED[device.kind] - shape.parameters * number_bytes - _reading(shape, number_bytes, 1)
    row = _row(shape, work, number_bytes)
    at_once = int((left if by_vllm else left * CACHE_SHARE) // row)
    return max(at_once, 1 if left >= row else 0)


def generating(shape: Shape, device: Device, work: Work, rows: int, number_bytes: int) -> Memory:
    """Count what drawing ``rows`` answers at once holds: every row has a cache of its whole context."""
    return Memory(
        {
            "libraries": _RESERVED[device.kind],
            "weights": shape.parameters * number_bytes,
            "cache": rows * shape.kv_numbers * number_bytes * (work.shared + work.read + work.written),
            "work": _reading(shape, number_bytes, rows),
        }
    )


def training(shape: Shape, device: Device, setup: Setup, sequence: Sequence) -> Memory:
    """Count what a training holds in a step, on a device that takes part in it.

    Weights that are trained, their gradients and Adam's two moments are kept in float32; frozen ones as they are
    loaded, or in 4 bits. Devices that exchange whole gradients hold them twice. Where weights are spread, a layer and
    the next are gathered in half precision, and the head.
    """
    parts = 1 if setup.sharding == "none" else setup.n_used
    n_sequences = setup.at_once(setup.n_used) * sequence.sides
    trained = setup.trained(shape)
    frozen = {"lora": setup.number_bytes, "qlora": _QUANTISED, "full": 0.0}[setup.mode] * shape.parameters
    gathered = 0.0 if parts == 1 else 2 * _HALF * shape.body / shape.layers + _HALF * shape.head
    copies = _HALF * shape.parameters if setup.mode == "full" and parts == 1 else 0.0  # that products are made with
    return Memory(
        {
            "libraries": _RESERVED[device.kind],
            "weights": (frozen + _FULL * trained) / parts + gathered + copies,
            "gradients": _FULL * trained / parts * (2 if parts == 1 and setup.n_used > 1 else 1),
            "optimiser": _ADAM * trained / parts,
            "activations": n_sequences * _activations(shape, device, sequence.tokens, is_kept=not setup.checkpointing),
            "logits": _logits(shape, device, setup.mode, n_sequences * sequence.scored),
        }
    )


def _row(shape: Shape, work: Work, number_bytes: int) -> float:
    context = work.shared + work.read + work.written
    return shape.kv_numbers * number_bytes * context + 2 * _FULL * shape.vocabulary


def _reading(shape: Shape, number_bytes: int, rows: int) -> float:
    """What one layer works on while prompts are read, and the logits of the last tokens, twice in float32."""
    layer = number_bytes * (4 * shape.width + 2 * shape.attention_width + 3 * shape.inner)
    return _CHUNK * layer + rows * 2.0 * _FULL * shape.vocabulary


def _activations(shape: Shape, device: Device, longest: float, *, is_kept: bool) -> float:
    """What the backward pass needs of every layer, in half precision; with checkpointing, of one and of all inputs.

    Of a gated layer: the inputs of both norms and of its seven products, query, key and value, and the gate's three.
    """
    kv = shape.kv_heads * shape.head_size
    layer = _HALF * (6 * shape.width + 3 * shape.attention_width + 2 * kv + 4 * shape.inner) * longest
    if device.kind == "cpu" and longest <= _EAGER_UP_TO:
        layer += (_HALF + 2 * _FULL) * shape.heads * longest**2
    return shape.layers * layer if is_kept else layer + shape.layers * _HALF * shape.width * longest


def _logits(shape: Shape, device: Device, mode: Mode, scored: float) -> float:
    """The logits of tokens that bear loss: a piece at a time behind a frozen head, else all, and twice in float32."""
    numbers = scored * shape.vocabulary
    if mode == "full":
        return numbers * (_HALF + 2 * _FULL)
    return min(numbers, _LOGITS_AT_ONCE[device.kind]) * 2 * _FULL
