from __future__ import annotations

import re
from dataclasses import replace
from functools import reduce
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.planning.hardware import Device, Machine, find_machine, read_devices
from charter.planning.memory import Memory, Sequence, Setup, generating, rows_that_fit, training, usable
from charter.planning.remedies import for_generating, for_training
from charter.planning.shapes import Shape, named_shape, named_shapes
from charter.planning.sizing import Work
from charter.recipe import Recipe
from charter.recipe.settings import LoraSettings

DEVICES = read_devices()
SEVEN, H200 = named_shape("7b"), DEVICES["h200"]
SETUP = Setup("lora", "none", n_devices=1, batch=8, accumulation=1, checkpointing=False, lora=LoraSettings())
SEQUENCE = Sequence(tokens=512, scored=256, sides=1)
GIB = 2**30

setups = st.builds(
    Setup,
    st.sampled_from(["lora", "qlora", "full"]),
    st.sampled_from(["none", "fsdp2", "zero3"]),
    st.integers(1, 64),
    st.integers(1, 256),
    st.integers(1, 8),
    st.booleans(),
    st.just(LoraSettings()),
)
shapes = st.sampled_from(list(named_shapes().values()))
sequences = st.builds(Sequence, st.floats(8, 4096), st.floats(1, 8), st.sampled_from([1, 2]))
devices = st.sampled_from(list(DEVICES.values()))


def test_drawing_holds_weights_and_a_cache_for_each_row() -> None:
    """By hand, of Mistral 7B in bfloat16: 14.5 GB of weights, and 131,072 bytes for each token of each row."""
    held = generating(SEVEN, H200, Work(10, 100, 50, 850), 10, 2)
    assert held.parts["weights"] == 2 * 7_248_023_552
    assert held.parts["cache"] == 10 * 1000 * 131_072
    assert held.total == sum(held.parts.values())


def test_as_many_rows_run_as_there_is_memory_for() -> None:
    """What fits is used up to the last row, and of a model that is too large no row fits."""
    work = Work(1e6, 1000, 200, 800)
    n = rows_that_fit(SEVEN, H200, work, 2, by_vllm=True)
    assert 100 < n < 1000
    assert generating(SEVEN, H200, work, n, 2).total <= usable(H200)
    assert generating(SEVEN, H200, work, n + 2, 2).total > usable(H200)
    assert rows_that_fit(named_shape("14b"), DEVICES["l4"], work, 2, by_vllm=True) == 0


def test_our_own_engine_leaves_half_of_what_the_weights_leave() -> None:
    """As it does when it is loaded; but a row that fits at all may run alone."""
    work = Work(1e6, 1000, 200, 800)
    whole = rows_that_fit(SEVEN, H200, work, 2, by_vllm=True)
    assert rows_that_fit(SEVEN, H200, work, 2, by_vllm=False) == pytest.approx(whole / 2, abs=1)
    long = Work(1, 25_000, 200, 800)  # tokens of 131,072 bytes: 3.4 of the 5.1 GB that are left
    assert [rows_that_fit(SEVEN, DEVICES["l4"], long, 2, by_vllm=vllm) for vllm in (True, False)] == [1, 1]
    assert rows_that_fit(named_shape("14b"), DEVICES["l4"], work, 2, by_vllm=False) == 0


def test_frozen_weights_take_what_they_are_loaded_as() -> None:
    """Behind an adapter, weights in float32 take twice what they take in half precision."""
    half, full = (
        training(SEVEN, H200, replace(SETUP, number_bytes=size), SEQUENCE).parts["weights"] for size in (2, 4)
    )
    assert full - half == 2 * SEVEN.parameters


def test_devices_that_exchange_gradients_hold_them_twice() -> None:
    """What is sent is gathered in buckets of its own; spread gradients are not."""
    alone, eight, spread = (
        training(SEVEN, H200, replace(SETUP, mode="full", n_devices=n, sharding=sharding), SEQUENCE).parts["gradients"]
        for n, sharding in ((1, "none"), (8, "none"), (8, "fsdp2"))
    )
    assert (alone, eight, spread) == (4 * SEVEN.parameters, 8 * SEVEN.parameters, 4 * SEVEN.parameters / 8)


def test_all_weights_take_sixteen_bytes_each_and_a_copy() -> None:
    """Weights, gradients and two moments in float32, and what products are made with in half of that."""
    held = training(SEVEN, H200, replace(SETUP, mode="full"), SEQUENCE)
    state = sum(held.parts[part] for part in ("weights", "gradients", "optimiser"))
    assert state == pytest.approx((16 + 2) * SEVEN.parameters)


def test_an_adapter_takes_sixteen_bytes_for_each_of_its_own() -> None:
    """The frozen weights take 2 bytes, or half a byte and their scales."""
    own = 16 * 41_943_040
    for mode, each in (("lora", 2), ("qlora", 0.516)):
        held = training(SEVEN, H200, replace(SETUP, mode=mode), SEQUENCE)
        state = sum(held.parts[part] for part in ("weights", "gradients", "optimiser"))
        assert state == pytest.approx(each * SEVEN.parameters + own)


def test_seven_billion_fit_where_they_are_known_to() -> None:
    """7B go onto a card of 24 GB with checkpointing, in 4 bits and in 16; all weights are trained on no single card."""
    saving = replace(SETUP, checkpointing=True, batch=1)
    small = DEVICES["rtx4090"]
    assert training(SEVEN, small, replace(saving, mode="qlora"), SEQUENCE).total < 10 * GIB
    assert training(SEVEN, small, saving, SEQUENCE).fits(small)
    assert not training(SEVEN, DEVICES["h100"], replace(saving, mode="full"), SEQUENCE).fits(DEVICES["h100"])


def test_both_sides_of_a_pair_are_held_at_once() -> None:
    """A pair has twice the activations of a row."""
    one = training(SEVEN, H200, SETUP, SEQUENCE)
    pair = training(SEVEN, H200, SETUP, replace(SEQUENCE, sides=2))
    assert pair.parts["activations"] == 2 * one.parts["activations"]


@given(shape=shapes, device=devices, setup=setups, sequence=sequences)
def test_spreading_weights_never_takes_more(shape: Shape, device: Device, setup: Setup, sequence: Sequence) -> None:
    """FSDP2 and ZeRO-3 hold no more of what is spread than a plain training, layers that are gathered aside."""
    plain = training(shape, device, replace(setup, sharding="none"), sequence)
    spread = training(shape, device, replace(setup, sharding="zero3"), sequence)
    gathered = (
        4 * shape.body / shape.layers + 2 * shape.head if spread.parts["gradients"] < plain.parts["gradients"] else 0
    )
    assert spread.total <= plain.total + gathered
    assert spread.parts["optimiser"] <= plain.parts["optimiser"]


@pytest.mark.parametrize("size", ["7b", "14b", "32b", "70b"])
@pytest.mark.parametrize("mode", ["lora", "full"])
@pytest.mark.parametrize("n", [2, 8])
def test_spreading_large_weights_takes_less(size: str, mode: str, n: int) -> None:
    """From 7B on the whole of a training is smaller on each of several devices."""
    setup = replace(SETUP, mode=mode, n_devices=n)
    plain = training(named_shape(size), H200, setup, SEQUENCE)
    assert training(named_shape(size), H200, replace(setup, sharding="zero3"), SEQUENCE).total < plain.total


@given(shape=shapes, device=devices, setup=setups, sequence=sequences)
def test_what_saves_memory_never_takes_more(shape: Shape, device: Device, setup: Setup, sequence: Sequence) -> None:
    """Checkpointing, 4 bits and smaller batches are each no more than what they replace."""
    total = training(shape, device, setup, sequence).total
    assert training(shape, device, replace(setup, checkpointing=True), sequence).total <= total * (1 + 1e-9)
    if setup.mode == "lora":
        assert training(shape, device, replace(setup, mode="qlora"), sequence).total <= total
    if setup.sharding == "none":
        assert training(shape, device, replace(setup, batch=max(1, setup.batch // 2)), sequence).total <= total


@pytest.mark.parametrize(
    ("machine", "size", "setup", "remedy"),
    [
        ("h100", "7b", SETUP, "set sft.batch_size to 4 and multiply sft.accumulation by 2"),
        ("rtx4090", "7b", SETUP, "set sft.gradient_checkpointing to true and sft.batch_size to 1"),
        ("rtx4090", "7b", replace(SETUP, batch=1), "set sft.gradient_checkpointing to true"),
        (
            "rtx4090",
            "14b",
            replace(SETUP, batch=1),
            (
                "train behind weights in 4 bits (QLoRA: sft.lora.quantise; here --training qlora), and set "
                "sft.gradient_checkpointing to true"
            ),
        ),
        (
            "h100x8",
            "7b",
            replace(SETUP, mode="full", n_devices=8),
            (
                "spread the weights (training.launch: fsdp2 or zero3; here --sharding zero3), set "
                "sft.gradient_checkpointing to true"
            ),
        ),
        (
            "h100x8",
            "7b",
            replace(SETUP, mode="full", n_devices=8, batch=4, sharding="none"),
            (
                "spread the weights (training.launch: fsdp2 or zero3; here --sharding zero3), set "
                "sft.gradient_checkpointing to true, sft.batch_size to 8"
            ),
        ),
    ],
)
def test_the_least_remedy_is_named(machine: str, size: str, setup: Setup, remedy: str) -> None:
    """By the recipe's own keys, and the plan's options; what costs least comes first."""
    longer = replace(SEQUENCE, tokens=2048.0)
    found = for_training(find_machine(machine, DEVICES), named_shape(size), setup, longer, "sft")
    assert found == remedy


def _section(annotation: Any) -> Any:
    """Give the model of a section, which may be one that can be left out."""
    return next((one for one in get_args(annotation) if one is not type(None)), annotation)


@given(shape=shapes, setup=setups, sequence=sequences, name=st.sampled_from(list(DEVICES)))
def test_there_is_always_something_to_do(shape: Shape, setup: Setup, sequence: Sequence, name: str) -> None:
    """Whatever does not fit, one sentence says what to change, by keys that a recipe has."""
    said = for_training(Machine(DEVICES[name], setup.n_devices), shape, setup, sequence, "dpo")
    assert said
    for key in re.findall(r"\b(?:sft|dpo|training)\.[a-z_.]*[a-z]", said):
        found = reduce(lambda model, name: _section(model.model_fields[name].annotation), key.split(".")[:-1], Recipe)
        assert key.split(".")[-1] in found.model_fields, key


def test_a_policy_needs_a_device_and_others_may_be_served() -> None:
    """What is trained cannot be behind a server; a judge can."""
    held = Memory({"weights": 27.6 * GIB})
    divided = "divide it over 2 (models.policy: engine vllm, n_gpus 2)"
    assert (
        for_generating(Machine(DEVICES["l4"]), held, "policy", 1)
        == f"take devices of 30 GiB, a smaller model, or {divided}"
    )
    assert for_generating(Machine(DEVICES["l4"]), held, "judge", 1).endswith(
        "or ask a server (models.judge: engine http)"
    )
