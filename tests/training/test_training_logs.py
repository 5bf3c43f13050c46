"""Figures handed on as they come: read back from what TensorBoard, W&B and trackio themselves have written."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from training_rows import preferences, sft_rows

from charter.errors import Interrupted, RecipeError
from charter.training.adapters import LoraSettings
from charter.training.collapse import Guard
from charter.training.destinations import Logs, installed, logs_lack
from charter.training.dpo import dpo
from charter.training.launch.configurations import find_launch
from charter.training.launch.parent import launch_training
from charter.training.logs import Once
from charter.training.pace import Pace
from charter.training.results import TrainingResult
from charter.training.sft import sft

pytestmark = pytest.mark.model

SETTINGS: dict[str, Any] = {
    "seed": 5,
    "pace": Pace(batch_size=2, learning_rate=5e-3),
    "lora": LoraSettings(r=4, alpha=8),
    "dtype": "float32",
    "device": "cpu",
    "guard": Guard(every=2, n_prompts=2, max_tokens=4),
}
SECRET = "sk-canary-0123456789abcdef"  # noqa: S105 - of a test


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Keep W&B and trackio in the test's folder and off the network, with secrets about; compute with one thread."""
    for name in ("WANDB_DISABLED", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def logs(folder: Path, *to: Any, name: str = "sft") -> Logs:
    """Hand figures to these."""
    return Logs(to=to, folder=str(folder / "logs"), project="mine", name=name)


def curves(folder: Path, name: str = "sft") -> dict[str, list[tuple[int, float]]]:
    """Read the curves that TensorBoard would show."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "logs" / "tensorboard" / name)).Reload()
    return {tag: [(one.step, one.value) for one in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def wandb_history(file: Path) -> list[dict[str, Any]]:
    """Read the figures of each step from what W&B has written: records in blocks of 32 KiB, in LevelDB's log format."""
    from wandb.proto import wandb_internal_pb2

    content, place, whole = file.read_bytes(), 7, b""
    assert content[:4] == b":W&B"
    told = []
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:  # too little room for a head
            place += 32768 - place % 32768
            continue
        size, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        whole += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in {1, 4}:  # whole, or the last part
            record = wandb_internal_pb2.Record.FromString(whole)
            whole = b""
            if record.HasField("history"):
                items = record.history.item
                told.append({one.key or one.nested_key[0]: json.loads(one.value_json) for one in items})
    return told


def losses(result: TrainingResult) -> list[tuple[int, float]]:
    """Give each step's loss."""
    return [(number, pytest.approx(loss, rel=1e-6)) for number, loss in enumerate(result.losses, 1)]


def test_tensorboard_shows_every_step_and_look(tiny_model: Path, tmp_path: Path) -> None:
    """Each figure of a step has a curve, and each of the guard's, at their steps; names are those of the result."""
    result = dpo(
        preferences(10), tiny_model, out=tmp_path / "dpo", logs=logs(tmp_path, "tensorboard", name="dpo"), **SETTINGS
    )
    found = curves(tmp_path, "dpo")
    assert found["train/loss"] == losses(result)
    assert {f"train/{name}" for name in result.steps[0] if name != "step"} == {
        name for name in found if name.startswith("train/")
    }
    for name in ("repetition", "distinct", "length"):
        looked = [(look["step"], pytest.approx(look[name])) for look in result.looks]
        assert found[f"guard/{name}"] == looked


def test_a_resumed_training_continues_its_curves(tiny_model: Path, tmp_path: Path) -> None:
    """Steps that were told of and taken again behind the checkpoint are shown once; a new training begins anew."""
    told: list[int] = []

    def crash(step: int, _n_steps: int, _logs: Mapping[str, float]) -> None:
        told.append(step)
        if len(told) == 4:
            raise KeyboardInterrupt

    to = logs(tmp_path, "tensorboard")
    with pytest.raises(KeyboardInterrupt):
        sft(sft_rows(10), tiny_model, out=tmp_path / "sft", logs=to, on_step=crash, **SETTINGS)
    assert [step for step, _ in curves(tmp_path)["train/loss"]][:3] == [1, 2, 3]
    resumed = sft(sft_rows(10), tiny_model, out=tmp_path / "sft", logs=to, on_step=crash, **SETTINGS)
    assert resumed.notes == ("went on from checkpoint-2",)
    assert curves(tmp_path)["train/loss"] == losses(resumed)
    assert [step for step, _ in curves(tmp_path)["guard/distinct"]] == [0, 2, 4, 5]
    other = sft(sft_rows(4), tiny_model, out=tmp_path / "other", logs=to, **SETTINGS)
    assert curves(tmp_path)["train/loss"] == losses(other)


def test_several_processes_log_once(tiny_model: Path, tmp_path: Path) -> None:
    """Of two processes one hands its figures on, and they are those of the whole training."""
    launch = {"launch": find_launch("cpu-2"), "out": tmp_path / "sft", "logs": logs(tmp_path, "tensorboard")}
    result = launch_training("sft", sft_rows(10), tiny_model, **launch, **SETTINGS)
    assert curves(tmp_path)["train/loss"] == losses(result)
    assert len(list((tmp_path / "logs" / "tensorboard" / "sft").iterdir())) == 1


def test_wandb_writes_offline(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """Kept offline it writes its own files here, with every step's figures, no secret, and nothing on the screen."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    result = sft(sft_rows(10), tiny_model, out=tmp_path / "sft", logs=logs(tmp_path, "wandb"), **SETTINGS)
    (written,) = (tmp_path / "logs" / "wandb").glob("offline-run-*/*.wandb")
    told = wandb_history(written)
    steps = [(one["step"], one["train/loss"]) for one in told if "train/loss" in one]
    assert steps == losses(result)
    assert [one["step"] for one in told if "guard/distinct" in one] == [0, 2, 4, 5]
    for path in (one for one in (tmp_path / "logs").rglob("*") if one.is_file()):
        assert SECRET.encode() not in path.read_bytes(), path
        assert sys.executable.encode() not in path.read_bytes(), path
    assert capfd.readouterr() == ("", "")


def test_what_was_told_is_told_once(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed behind a checkpoint, and gone on with: W&B keeps all that it is told, so that steps are told it once."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    seen: list[int] = []

    def crash(step: int, _n_steps: int, _logs: Mapping[str, float]) -> None:
        seen.append(step)
        if len(seen) == 4:
            raise KeyboardInterrupt

    how = {"out": tmp_path / "sft", "logs": logs(tmp_path, "wandb"), "on_step": crash, **SETTINGS}
    with pytest.raises(KeyboardInterrupt):
        sft(sft_rows(10), tiny_model, **how)
    resumed = sft(sft_rows(10), tiny_model, **how)
    assert resumed.notes == ("went on from checkpoint-2",)
    written = sorted((tmp_path / "logs" / "wandb").glob("offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime)
    told = [one for path in written for one in wandb_history(path)]
    steps = [(one["step"], one["train/loss"]) for one in told if "train/loss" in one]
    assert steps == losses(resumed)
    assert [one["step"] for one in told if "guard/distinct" in one] == [0, 2, 4, 5]


def test_trackio_keeps_figures_here(tiny_model: Path, tmp_path: Path, capfd: Any) -> None:
    """Its own database has every step's figures, and no secret."""
    pytest.importorskip("trackio", reason="it needs an older pillow than the other packages come with")
    result = sft(sft_rows(10), tiny_model, out=tmp_path / "sft", logs=logs(tmp_path, "trackio"), **SETTINGS)
    from trackio.sqlite_storage import SQLiteStorage

    (name,) = SQLiteStorage.get_runs("mine")
    assert name.startswith("sft-"), "another run of the recipe has curves of its own"
    told = [one for one in SQLiteStorage.get_logs("mine", name) if "train/loss" in one]
    assert [(one["step"], one["train/loss"]) for one in told] == losses(result)
    for path in (one for one in (tmp_path / "trackio").rglob("*") if one.is_file()):
        assert SECRET.encode() not in path.read_bytes(), path
    assert capfd.readouterr() == ("", "")


def test_what_is_missing_is_said_before_anything_is_trained(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that is not there names the extra that brings it; W&B without a key says what would do."""
    from importlib.util import find_spec

    def missing(name: str, *rest: Any) -> Any:
        return None if name in {"trackio", "tensorboard"} else find_spec(name, *rest)

    monkeypatch.setattr("charter.training.destinations.importlib.util.find_spec", missing)
    assert installed() == ()
    assert logs_lack(()) == ""
    expected = r"training.logs: trackio is not installed; install it \(pip install 'charter\[trackio\]'\), or take"
    with pytest.raises(RecipeError, match=expected):
        sft(sft_rows(4), tiny_model, out=tmp_path / "sft", logs=logs(tmp_path, "wandb", "trackio"), **SETTINGS)
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("environment", "knows"),
    [
        ({}, False),
        ({"WANDB_API_KEY": "x" * 40}, True),
        ({"WANDB_MODE": "offline"}, True),
        ({"WANDB_MODE": "online"}, False),
        ({"WANDB_BASE_URL": "https://wandb.example.org/api"}, True),
    ],
)
def test_wandb_is_asked_for_a_key_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], knows: bool
) -> None:
    """It would ask whoever sits at the run, hours in: a key in the environment or in netrc, or no need of one."""
    (tmp_path / "netrc").write_text("machine wandb.example.org login user password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    lacks = logs_lack(["wandb"])
    assert (lacks == "") == knows
    if not knows:
        assert "no key for api.wandb.ai" in lacks
        assert "WANDB_MODE=offline" in lacks


def test_a_stopped_training_closes_what_it_opened(tiny_model: Path, tmp_path: Path) -> None:
    """Interrupted in its first step it has written that step, and goes on from there."""
    to = logs(tmp_path, "tensorboard")
    with pytest.raises(Interrupted):
        sft(sft_rows(10), tiny_model, out=tmp_path / "sft", logs=to, stop=lambda: True, **SETTINGS)
    assert [step for step, _ in curves(tmp_path)["train/loss"]] == [1]
    resumed = sft(sft_rows(10), tiny_model, out=tmp_path / "sft", logs=to, **SETTINGS)
    assert curves(tmp_path)["train/loss"] == losses(resumed)


class Told:
    """Keeps what a writer is told."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, str]] = []

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Keep the step and a figure's name."""
        self.steps.append((step, *figures))

    def close(self) -> None:
        """Nothing is left."""


def test_steps_that_come_again_are_handed_on_once(tmp_path: Path) -> None:
    """By kind of figures, over sittings; a file that is torn is no more than none."""
    told, file = Told(), tmp_path / "told.json"
    for sitting in ([(1, "train/loss"), (1, "guard/kl"), (2, "train/loss")], [(2, "train/loss"), (2, "guard/kl")]):
        once = Once(told, file)
        for step, name in sitting:
            once.log(step, {name: 1.0})
    assert told.steps == [(1, "train/loss"), (1, "guard/kl"), (2, "train/loss"), (2, "guard/kl")]
    file.write_text('{"train')
    Once(told, file).log(1, {"train/loss": 1.0})
    assert told.steps[-1] == (1, "train/loss")
