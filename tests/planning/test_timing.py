from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.planning.hardware import Device, Factors, Machine, Range
from charter.planning.memory import Setup
from charter.planning.shapes import Shape
from charter.planning.sizing import Work
from charter.planning.stage_plan import Training
from charter.planning.timing import (
    Drawing,
    loading_seconds,
    reading_operations,
    training_operations,
    training_seconds,
    working_seconds,
)
from charter.recipe.settings import LoraSettings

EXACT = Range(1, 1)
NO_TIME = Range(0, 0)
# One operation, or one byte, a second, all of which is reached; nothing else takes time.
IDEAL = Factors(
    prefill=EXACT,
    attention=EXACT,
    training=EXACT,
    decode_products=EXACT,
    decode_bandwidth=EXACT,
    layer_seconds=NO_TIME,
    vllm_layer_seconds=NO_TIME,
    training_layer_seconds=NO_TIME,
    sharing=EXACT,
    load_gbs=EXACT,
    start_seconds=NO_TIME,
)
DEVICE = Device(
    "ideal", "gpu", memory=1e12, products=1.0, bandwidth=1.0, link=2.0, power_watts=0, host=1, price=0, factors=IDEAL
)
ONE = Machine(DEVICE)
# 100 parameters in the body, 20 in the head; attention over 8 numbers in 2 layers.
SHAPE = Shape("s", 2, 4, 2, 1, 4, 6, 5, tied=False, parameters=140)
SETUP = Setup(
    "lora",
    "none",
    n_devices=1,
    batch=8,
    accumulation=1,
    checkpointing=False,
    lora=LoraSettings(r=1, targets=("q_proj",)),
)
ADAPTER = 1 * 2 * (4 + 8)  # rank, layers, both sides
DRAWING = Drawing(2, max_rows=10, at_once=1e9)

factors = st.floats(0.1, 1.0).flatmap(lambda low: st.floats(low, 1.0).map(lambda high: Range(low, high)))
machines = st.builds(
    lambda share, sharing, link, seconds: Machine(
        replace(
            DEVICE,
            products=1e9,
            bandwidth=1e9,
            link=link,
            factors=replace(IDEAL, prefill=share, training=share, sharing=sharing, layer_seconds=seconds),
        )
    ),
    factors,
    factors,
    st.floats(1, 1e12),
    st.floats(1e-6, 1e-2).map(lambda second: Range(second, 2 * second)),
)
works = st.builds(Work, st.integers(1, 10**6), st.floats(1, 1000), st.floats(0, 500), st.floats(0, 2000))


def test_reading_is_two_operations_for_each_parameter_and_token() -> None:
    """By hand: 3 calls of 5 own tokens behind 7 that they share, and one product of the head for each call.

    Layers: 2 x 100 x (15 + 7), head: 2 x 20 x 3. Attention: 4 x 2 layers x 8 x (15 x (7 + 2.5) + 24.5).
    """
    products, attention = reading_operations(Work(3, 5, 0, 7), 3, SHAPE)
    assert products == 2 * 100 * 22 + 2 * 20 * 3
    assert attention == 4 * 2 * 8 * (15 * 9.5 + 24.5)
    assert working_seconds(Work(3, 5, 0, 7), SHAPE, ONE, DRAWING).low == products + attention


def test_a_step_of_drawing_is_bound_by_what_takes_longer() -> None:
    """By hand: 4 rows with one token each and 10 to write, of which half are there on average.

    Bytes of weights 2 x 120 are fewer than products 2 x 4 x 120. Caches of 4 rows with 6 tokens of 2 x 2 x 4 numbers
    in 2 bytes are fewer than attention's 4 x 6 x 4 x 2 x 8. So: 10 steps of both products.
    """
    work = Work(4, 1, 10, 0)
    read = sum(reading_operations(work, 4, SHAPE))
    drawn = working_seconds(work, SHAPE, ONE, DRAWING).low - read
    assert drawn == pytest.approx(10 * (2 * 4 * 120 + 4 * 6 * 64))
    fast = Machine(replace(DEVICE, products=1e12))
    assert working_seconds(work, SHAPE, fast, DRAWING).low == pytest.approx(10 * (2 * 120 + 4 * 6 * 16 * 2), rel=1e-6)


def test_layers_take_their_seconds_whatever_the_batch() -> None:
    """Twice the rows at once halve the steps, and so the time of starting kernels."""
    device = replace(DEVICE, products=1e15, bandwidth=1e15, factors=replace(IDEAL, layer_seconds=Range(1, 2)))
    work = Work(40, 1, 10, 0)
    ten, twenty = (working_seconds(work, SHAPE, Machine(device), Drawing(2, rows, 1e9)) for rows in (10, 20))
    assert ten.low == pytest.approx(2 * (40 / 10 + 40 / 10 * 10))  # layers x (batches read + steps drawn)
    assert ten.high == pytest.approx(2 * ten.low)
    assert twenty.low == pytest.approx(ten.low / 2)


@pytest.mark.parametrize(
    ("mode", "is_checkpointed", "each"), [("lora", False, 4), ("lora", True, 6), ("full", False, 6), ("full", True, 8)]
)
def test_training_is_four_or_six_operations(mode: str, is_checkpointed: bool, each: int) -> None:
    """Behind frozen weights 4 for each parameter and token, else 6, and 2 more where passes are done twice."""
    setup = replace(SETUP, mode=mode, checkpointing=is_checkpointed)
    products, attention = training_operations(Training(tokens=1000, steps=5, longest=40), SHAPE, setup)
    adapter = 6 * ADAPTER if mode == "lora" else 0
    assert products == 1000 * (each * 100 + adapter)
    assert attention == 4 * 2 * 8 * 1000 * (4 if is_checkpointed else 3) * 20 / 2


def test_a_reference_is_a_forward_pass_and_the_head_is_counted_where_it_is_needed() -> None:
    """Of 1000 tokens 100 bear loss; the reference reads 500."""
    training = Training(tokens=1000, steps=5, reference=500, scored=100, longest=0)
    products, _ = training_operations(training, SHAPE, SETUP)
    assert products == 1000 * (4 * 100 + 6 * ADAPTER) + 100 * 4 * 20 + 500 * 2 * (100 + 0.1 * 20)


def test_a_step_costs_something_however_small() -> None:
    """Steps of one row take as long as the layers do, and accumulated passes are passes."""
    machine = Machine(replace(DEVICE, products=1e15, factors=replace(IDEAL, training_layer_seconds=Range(0.5, 1))))
    training = Training(tokens=10, steps=10, longest=1)
    assert training_seconds(training, SHAPE, machine, SETUP).low == pytest.approx(10 * 2 * 0.5)
    assert training_seconds(training, SHAPE, machine, replace(SETUP, accumulation=3)).low == pytest.approx(3 * 10)
    three = replace(machine, n=3)
    assert training_seconds(training, SHAPE, three, replace(SETUP, accumulation=3)).low == pytest.approx(10)
    assert training_seconds(Training(), SHAPE, machine, SETUP) == Range()


def test_no_more_devices_train_than_a_step_has_rows() -> None:
    """Of 64 devices 8 have a row each; the others wait."""
    training = Training(tokens=10_000, steps=2, longest=10)
    quick = replace(DEVICE, link=1e15)
    alone, eight, many = (training_seconds(training, SHAPE, Machine(quick, n), SETUP).high for n in (1, 8, 64))
    assert eight == pytest.approx(alone / 8, rel=1e-6)
    assert many == eight


def test_slow_links_leave_the_training_to_one_device() -> None:
    """Where exchanging gradients takes longer than it saves, devices are left out."""
    training = Training(tokens=100, steps=100, longest=1)
    slow = replace(DEVICE, products=1e6, link=1e-6)
    assert training_seconds(training, SHAPE, Machine(slow, 8), SETUP).high == pytest.approx(
        training_seconds(training, SHAPE, Machine(slow), SETUP).high
    )


def test_the_recorded_rates_follow_from_the_formulas() -> None:
    """42, 550 and 643 tokens a second by 1, 32 and 64 rows of 135M on two cores lie in the range of what is planned."""
    from charter.planning.hardware import read_devices
    from charter.planning.shapes import named_shape

    shape, machine = named_shape("135m"), Machine(read_devices()["cpu-2"])
    for rows, measured in ((1, 42), (32, 550), (64, 643)):
        seconds = working_seconds(Work(rows, 1, 100), shape, machine, Drawing(2, rows, rows))
        assert rows * 100 / seconds.high <= measured <= rows * 100 / seconds.low, rows


def test_devices_that_share_a_model_are_one_with_all_they_have() -> None:
    """Two of four devices together have twice the memory and rates, and there are two such pairs."""
    machine = Machine(replace(DEVICE, factors=replace(IDEAL, sharing=Range(0.8, 0.9))), 4).grouped(2)
    assert (machine.n, machine.device.memory, machine.device.products) == (2, 2e12, 2)
    assert machine.device.factors.prefill == Range(0.8, 0.9)
    assert Machine(DEVICE, 4).grouped(1) == Machine(DEVICE, 4)


def test_loading_is_bytes_over_a_rate() -> None:
    """One gigabyte at one gigabyte a second."""
    assert loading_seconds(1e9, ONE) == Range(1, 1)


@given(machine=machines, work=works, more=st.integers(2, 64))
def test_more_devices_never_take_longer(machine: Machine, work: Work, more: int) -> None:
    """Neither to answer nor to train, with whatever link, and however little is reached together."""
    training = Training(tokens=work.n * work.read, steps=math.ceil(work.n / 8), longest=work.read)
    few, many = machine, Machine(machine.device, more)
    for n in range(2, more):
        assert _slower(working_seconds(work, SHAPE, many, DRAWING), working_seconds(work, SHAPE, few, DRAWING)) is False
        assert (
            _slower(training_seconds(training, SHAPE, many, SETUP), training_seconds(training, SHAPE, few, SETUP))
            is False
        )
        few = Machine(machine.device, n)


@given(machine=machines, work=works, times=st.floats(1, 100), n=st.integers(1, 16))
def test_more_calls_never_take_less(machine: Machine, work: Work, times: float, n: int) -> None:
    """More prompts are never cheaper, whatever is shared."""
    several = Machine(machine.device, n)
    more = working_seconds(replace(work, n=work.n * times), SHAPE, several, DRAWING)
    assert _slower(working_seconds(work, SHAPE, several, DRAWING), more) is False


def _slower(one: Range, other: Range) -> bool:
    """Whether either end is above the other's, beyond rounding."""
    return one.low > other.low * (1 + 1e-9) or one.high > other.high * (1 + 1e-9)


def test_devices_of_other_nodes_are_farther_away() -> None:
    """The ninth device of nodes of eight is reached over the network; where that takes too long, eight train."""
    training = Training(tokens=1e6, steps=10, longest=10)
    near = replace(DEVICE, products=1e9, link=1e15)
    far = replace(near, per_node=8, node_link=1.0)
    sixteen = replace(SETUP, batch=16)
    near_16, far_16, far_8 = (
        training_seconds(training, SHAPE, Machine(device, n), sixteen).high
        for device, n in ((near, 16), (far, 16), (far, 8))
    )
    assert near_16 == pytest.approx(far_8 / 2, rel=1e-3)
    assert far_16 == far_8
