"""How long a device takes over a load or a training: operations and bytes over rates of which a part is reached. Pure.

With N parameters that a token is multiplied with (the embedding is looked up, the head is computed where it is asked
for), L layers, and attention over heads of D numbers together:

- reading n tokens: 2N n operations, and 4 L D for each token and token before it;
- a step of drawing B rows: L times the seconds of a layer; the weights' bytes, or the products of B tokens, whichever
  takes longer; and the caches' bytes, or the attention's products, whichever takes longer;
- training on n tokens: 4N n behind frozen weights, 6N n where all weights are trained, 2N n more where activations are
  computed twice, 6 for every parameter of an adapter, 2N n for a reference; and L times the seconds of a layer for each
  step of the optimiser.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from charter.planning.hardware import Machine, Range
from charter.planning.memory import Setup
from charter.planning.shapes import Shape
from charter.planning.sizing import Work
from charter.planning.stage_plan import Training

_ATTENTION = 4  # operations for each number of the heads, token, and token before it: two products
_BACKWARD = 3  # forward and backward of the attention, as many times the forward pass
_QUANTISED = Range(1.1, 1.5)  # times as long behind weights that are unpacked for each product; not measured
_FULL, _HALF = 4, 2  # bytes


@dataclass(frozen=True)
class Drawing:
    """What a load runs with: bytes of a number, the most rows at once on each device and on all; whether by vLLM."""

    number_bytes: int
    max_rows: int
    at_once: float
    by_vllm: bool = False

    def layer_seconds(self, machine: Machine) -> Range:
        """Seconds that a step takes for each layer, whatever its batch."""
        factors = machine.device.factors
        return factors.vllm_layer_seconds if self.by_vllm else factors.layer_seconds


def working_seconds(work: Work, shape: Shape, machine: Machine, drawing: Drawing) -> Range:
    """Seconds of calls of one kind, shared out over the devices; or on one, where that is no slower."""
    alone = _on_each(1, work, shape, machine, drawing)
    if machine.n == 1:
        return alone
    return _least(alone, _shared(_on_each(machine.n, work, shape, machine, drawing), machine))


def reading_operations(work: Work, n: float, shape: Shape) -> tuple[float, float]:
    """Operations of the layers' products, and of attention, to read the prompts of ``n`` calls."""
    products = 2 * shape.body * (n * work.read + work.shared) + 2 * shape.head * n
    attended = n * work.read * (work.shared + work.read / 2) + work.shared**2 / 2
    return products, _ATTENTION * shape.layers * shape.attention_width * attended


def training_operations(training: Training, shape: Shape, setup: Setup) -> tuple[float, float]:
    """Operations of the layers' products, and of attention, of a whole training with its reference."""
    is_full = setup.mode == "full"
    adapter = 0.0 if is_full else setup.trained(shape)
    each = (6 if is_full else 4) + (2 if setup.checkpointing else 0)
    scored = training.scored / training.tokens if training.tokens else 0.0
    products = training.tokens * (each * shape.body + 6 * adapter)
    products += training.scored * (6 if is_full else 4) * shape.head
    products += training.reference * 2 * (shape.body + scored * shape.head)
    mean = training.longest / 2  # of a sequence: what is looked at is half of that on average
    forward_again = 1 if setup.checkpointing else 0
    attended = (training.tokens * (_BACKWARD + forward_again) + training.reference) * mean / 2
    return products, _ATTENTION * shape.layers * shape.attention_width * attended


def training_seconds(training: Training, shape: Shape, machine: Machine, setup: Setup) -> Range:
    """Seconds of a training on as many of the devices as have a row of every step, and help."""
    if not training.tokens:
        return Range()
    least = Range(math.inf, math.inf)
    for n in range(1, min(machine.n, setup.step) + 1):
        least = _least(least, _training_on(n, training, shape, machine, setup))
    return least


def _training_on(n: int, training: Training, shape: Shape, machine: Machine, setup: Setup) -> Range:
    device, factors = machine.device, machine.device.factors
    products, attention = training_operations(training, shape, setup)
    share = math.ceil(setup.step / n) / setup.step  # of a step, by the device that has most
    slower = _QUANTISED if setup.mode == "qlora" else Range(1, 1)
    computing = Range(
        _seconds(products * slower.low, device.products * factors.training.high)
        + _seconds(attention, device.products * factors.attention.high),
        _seconds(products * slower.high, device.products * factors.training.low)
        + _seconds(attention, device.products * factors.attention.low),
    ).times(share)
    overhead = factors.training_layer_seconds.times(training.steps * setup.passes(n) * shape.layers)
    if n == 1:
        return computing + overhead
    exchanged = training.steps * _exchanged_bytes(n, shape, setup)
    talking = Range(0.0, _seconds(exchanged, device.link_of(n) / 2))  # hidden behind the products, or not at all
    return _shared(computing, machine) + overhead + talking


def _exchanged_bytes(n: int, shape: Shape, setup: Setup) -> float:
    """Bytes that each device sends for a step: gradients; of sharded weights, the weights forward and backward too."""
    others = (n - 1) / n
    gradients = 2 * others * _FULL * setup.trained(shape)
    if setup.sharding == "none":
        return gradients
    return gradients + 2 * others * _HALF * shape.parameters * setup.passes(n)


def _on_each(n_devices: int, work: Work, shape: Shape, machine: Machine, drawing: Drawing) -> Range:
    """Seconds of the calls where so many devices share them, each reading what they share."""
    device, factors = machine.device, machine.device.factors
    n = work.n / n_devices
    rows = max(1.0, min(n, drawing.max_rows, drawing.at_once / n_devices))
    products, attention = reading_operations(work, n, shape)
    starts = math.ceil(n / rows) * shape.layers
    reading = Range(
        _seconds(products, device.products * factors.prefill.high)
        + _seconds(attention, device.products * factors.attention.high),
        _seconds(products, device.products * factors.prefill.low)
        + _seconds(attention, device.products * factors.attention.low),
    )
    return (
        reading
        + drawing.layer_seconds(machine).times(starts)
        + _step(work, rows, shape, machine, drawing).times(max(n, 1) * work.written / rows)
    )


def _step(work: Work, rows: float, shape: Shape, machine: Machine, drawing: Drawing) -> Range:
    """Seconds of one step of drawing, with half of the answers written."""
    device, factors = machine.device, machine.device.factors
    context = work.shared + work.read + work.written / 2
    weights = (shape.body + shape.head) * drawing.number_bytes
    cache = rows * context * shape.kv_numbers * drawing.number_bytes
    products = 2 * rows * (shape.body + shape.head)
    attention = rows * context * _ATTENTION * shape.layers * shape.attention_width

    def seconds(bandwidth: float, of_products: float, of_attention: float) -> float:
        return max(weights / (device.bandwidth * bandwidth), products / (device.products * of_products)) + max(
            cache / (device.bandwidth * bandwidth), attention / (device.products * of_attention)
        )

    return drawing.layer_seconds(machine).times(shape.layers) + Range(
        seconds(factors.decode_bandwidth.high, factors.decode_products.high, factors.attention.high),
        seconds(factors.decode_bandwidth.low, factors.decode_products.low, factors.attention.low),
    )


def loading_seconds(n_bytes: float, machine: Machine) -> Range:
    """Seconds to load weights; every device does so at the same time."""
    rates = machine.device.factors.load_gbs
    return Range(_seconds(n_bytes, rates.high * 1e9), _seconds(n_bytes, rates.low * 1e9))


def _shared(range_: Range, machine: Machine) -> Range:
    """Lengthen by what is lost where several devices work together."""
    sharing = machine.device.factors.sharing
    return Range(range_.low / sharing.high, range_.high / sharing.low)


def _least(one: Range, other: Range) -> Range:
    return Range(min(one.low, other.low), min(one.high, other.high))


def _seconds(amount: float, rate: float) -> float:
    return amount / rate
