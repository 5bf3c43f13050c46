"""What is said of a recipe's launch before a run: what is missing here, and who would have nothing to do."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from charter.planning.estimate import Place
from charter.planning.findings import Preflight
from charter.planning.hardware import find_machine, read_devices
from charter.planning.launching import look_at_launch, spreads_weights
from charter.recipe import Recipe, load_recipe

RECIPE = """\
name: launched
constitution: harmless
models: {policy: smollm2-135m}
"""


def recipe(folder: Path, *overrides: str) -> Recipe:
    """Write a recipe that trains, and load it."""
    (folder / "launched.yaml").write_text(RECIPE, "utf-8")
    return load_recipe(folder / "launched.yaml", overrides)


def findings(folder: Path, *overrides: str, stages: tuple[str, ...] = ("sft", "dpo")) -> list[tuple[str, str, str]]:
    """Say what is found of a recipe's launch."""
    report = Preflight()
    look_at_launch(report, recipe(folder, *overrides), stages)
    return [(one.severity, one.about, one.message) for one in report.findings]


def test_nothing_is_said_of_what_works(tmp_path: Path) -> None:
    """In this process, or in two on the CPU; nor is anything where nothing is trained."""
    assert findings(tmp_path) == []
    assert findings(tmp_path, "training.launch=cpu-2") == []
    assert findings(tmp_path, "sft.lora.quantise=4bit") == []
    assert findings(tmp_path, "training.launch=nowhere.yaml", stages=("revise", "report")) == []
    scripted = "models.policy={name: chatty, engine: scripted}"
    assert findings(tmp_path, "training.launch=nowhere.yaml", scripted) == []


def test_what_is_missing_is_an_error_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not there, GPUs, DeepSpeed, bitsandbytes."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    find = importlib.util.find_spec
    absent = {"deepspeed", "bitsandbytes"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in absent else find(name, *a))
    ((severity, about, message),) = findings(tmp_path, "training.launch=fdsp2")
    assert (severity, about) == ("error", "training.launch")
    assert "did you mean fsdp2?" in message
    ((_, _, message),) = findings(tmp_path, "training.launch=several-gpus")
    assert "torch sees none here; take cpu-2" in message
    ((_, _, message),) = findings(tmp_path, "training.launch=zero3")
    assert "pip install deepspeed" in message
    ((_, about, message),) = findings(tmp_path, "sft.lora.quantise=4bit")
    assert about == "sft.lora.quantise"
    assert "pip install 'bitsandbytes>=0.49'" in message


def test_processes_are_held_to_the_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than there are is an error, and more than a step has rows a warning."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    ((severity, _, message),) = findings(tmp_path, "training.launch=several-gpus", "training.n_processes=8")
    assert severity == "error"
    assert "it starts 8 processes, and there are 4 GPUs; lower training.n_processes" in message
    ((severity, about, message),) = findings(tmp_path, "training.launch=fsdp2", "dpo.batch_size=2")
    assert (severity, about) == ("warning", "dpo.batch_size")
    assert "2 rows a step, and there are 4 processes: 2 have nothing to do; raise it to 4" in message


def test_what_contradicts_the_launch_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sharded weights of 4 bits, and GPUs for processes that keep off them."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    ((severity, about, _),) = findings(tmp_path, "training.launch=fsdp2", "sft.lora.quantise=4bit")
    assert (severity, about) == ("error", "sft.lora.quantise")
    ((severity, about, message),) = findings(tmp_path, "training.launch=cpu-2", "models.policy.device=cuda")
    assert (severity, about) == ("error", "training.launch")
    assert "set that to auto" in message


def test_a_plan_takes_what_the_recipe_says(tmp_path: Path) -> None:
    """4-bit weights and sharding are the recipe's where the command says nothing, and the command's where it does."""
    machine = find_machine("h200x8", read_devices(None), None)
    here = Place(machine)
    plain, quantised = recipe(tmp_path), recipe(tmp_path, "sft.lora.quantise=4bit", "training.launch=fsdp2")
    sharded = recipe(tmp_path, "training.launch=zero3")
    assert [(here.mode_for(one), here.sharding_for(one)) for one in (plain, quantised, sharded)] == [
        ("lora", "none"),
        ("qlora", "none"),
        ("lora", "zero3"),
    ]
    said = Place(machine, "full", "fsdp2")
    assert (said.mode_for(quantised), said.sharding_for(sharded)) == ("full", "fsdp2")


@pytest.mark.parametrize("launch", [None, "several-gpus", "fsdp2", "zero3", "nowhere.yaml"])
def test_weights_are_spread_by_the_launch(tmp_path: Path, launch: str | None) -> None:
    """By what the file starts; one that is not there is told elsewhere."""
    found = recipe(tmp_path, *([f"training.launch={launch}"] if launch else []))
    assert spreads_weights(found) == (launch in {"fsdp2", "zero3"})


def test_logs_that_cannot_be_written_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is missing is named with the extra that brings it; one that nobody asked for is not missed."""
    find = importlib.util.find_spec
    absent = {"trackio", "tensorboard"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in absent else find(name, *a))
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert findings(tmp_path) == []
    assert findings(tmp_path, "training.logs=[wandb]") == []
    expected = (
        "error",
        "training.logs",
        "trackio is not installed; install it (pip install 'charter[trackio]'), or take it out",
    )
    assert findings(tmp_path, "training.logs=[wandb, trackio]") == [expected]
    assert findings(tmp_path, "training.logs=[trackio]", stages=("revise",)) == []
