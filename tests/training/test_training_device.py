"""Where a training runs: what the libraries are told, and the same numbers on a GPU as on the CPU."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from training_rows import preferences, sft_rows

from charter.errors import ModelError
from charter.training.adapters import LoraSettings, Trainee, load_trainee
from charter.training.builder import trainer_arguments, use_one_device
from charter.training.dpo import dpo
from charter.training.pace import Pace
from charter.training.passes import division_of
from charter.training.sft import sft

SETTINGS: dict[str, Any] = {
    "seed": 5,
    "lora": LoraSettings(r=4, alpha=8),
    "dtype": "float32",
    "pace": Pace(batch_size=2, learning_rate=5e-3),
}


def trainee_on(device: str) -> Trainee:
    """Make a trainee that says where it is."""
    return Trainee(model=None, tokenizer=None, base="", autocast=None, device=torch.device(device))


def test_the_cpu_is_kept_to_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model on the CPU is trained there, whatever else the machine has, and one on a GPU is not."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    on_cpu = trainer_arguments(Pace(), division_of(Pace(), 1), trainee_on("cpu"), Path("x"), 0)
    assert (on_cpu["use_cpu"], on_cpu["dataloader_pin_memory"]) == (True, False)
    on_gpu = trainer_arguments(Pace(), division_of(Pace(), 1), trainee_on("cuda:1"), Path("x"), 0)
    assert (on_gpu["use_cpu"], on_gpu["dataloader_pin_memory"]) == (False, True)


def test_one_gpu_of_several_is_taken() -> None:
    """The one that was named, alone; on the CPU nothing is said."""
    arguments = use_one_device(SimpleNamespace(n_gpu=4), torch.device("cuda:2"))
    assert (arguments._n_gpu, arguments._setup_devices) == (1, torch.device("cuda:2"))
    arguments = use_one_device(SimpleNamespace(n_gpu=0), torch.device("cpu"))
    assert arguments._n_gpu == 0
    assert not hasattr(arguments, "_setup_devices")


def test_the_libraries_still_remember_their_device() -> None:
    """``use_one_device`` writes over what these two names stand for in transformers."""
    from functools import cached_property

    from transformers import TrainingArguments

    assert isinstance(TrainingArguments.__dict__["_setup_devices"], cached_property)
    arguments = TrainingArguments(output_dir="x", use_cpu=True)
    arguments._setup_devices = torch.device("cuda:2")
    arguments._n_gpu = 1
    assert (arguments.device, arguments.n_gpu) == (torch.device("cuda:2"), 1)


@pytest.mark.model
@pytest.mark.parametrize("train", [sft, dpo])
def test_an_absent_device_is_an_error(tiny_model: Path, tmp_path: Path, train: Any) -> None:
    """Both trainings refuse a device that the machine does not have, before anything is written."""
    rows = sft_rows(2) if train is sft else preferences(2)
    with pytest.raises(ModelError, match="no device 'cuda:99' on this machine"):
        train(rows, tiny_model, out=tmp_path / "out", device="cuda:99", **SETTINGS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.model
def test_a_trainee_is_where_it_was_asked_for(tiny_model: Path) -> None:
    """All its weights are there, and it says so."""
    trainee = load_trainee(tiny_model, lora=LoraSettings(), seed=0, device="cpu")
    assert {weight.device for weight in trainee.model.parameters()} == {trainee.device} == {torch.device("cpu")}


@pytest.mark.model
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("train", [sft, dpo])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_gpu_trains_as_the_cpu_does(tiny_model: Path, tmp_path: Path, train: Any, dtype: str) -> None:
    """From the same first weights and rows, every step's loss is the same up to rounding."""
    rows = sft_rows(8) if train is sft else preferences(8)
    settings = SETTINGS | {"dtype": dtype}
    on_cpu = train(rows, tiny_model, out=tmp_path / "cpu", device="cpu", **settings)
    on_gpu = train(rows, tiny_model, out=tmp_path / "gpu", device="cuda:0", **settings)
    assert on_gpu.losses == pytest.approx(on_cpu.losses, rel=1e-3 if dtype == "float32" else 0.05)
    assert torch.cuda.max_memory_allocated() > 0
