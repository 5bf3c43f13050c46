"""Trainings in several real processes: the same as in one, ended together, and gone on from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from training_rows import preferences, sft_rows

from charter.errors import Collapsed, Interrupted, ModelError, TrainingEnded
from charter.processes import guard
from charter.recipe.launches import launch_files
from charter.training.adapters import LoraSettings
from charter.training.collapse import Guard
from charter.training.launch import parent
from charter.training.launch.configurations import Launch, find_launch
from charter.training.launch.parent import launch_training
from charter.training.methods import method_of
from charter.training.pace import Pace
from charter.training.results import TrainingResult

pytestmark = pytest.mark.model

OTHER_STAGES = [pytest.param(stage, marks=pytest.mark.thorough) for stage in ("sft", "preference_model")]

# 11 rows in steps of 6: the last of an epoch has 5, which one process takes in 3 passes, and two in 2: 3 rows and 2.
PACE = Pace(batch_size=2, accumulation=3, learning_rate=5e-3, epochs=2)
SETTINGS: dict[str, Any] = {
    "seed": 5,
    "pace": PACE,
    "lora": LoraSettings(r=4, alpha=8),
    "dtype": "float32",
    "device": "cpu",
}
TWO = "cpu-2"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute with one thread here, as the processes do: more of them wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rows(stage: str, n: int = 11) -> Any:
    """Make rows of various lengths for a stage, pairs of various weights."""
    if stage == "sft":
        return sft_rows(n)
    return [row.model_copy(update={"weight": (1 + number % 4) / 4}) for number, row in enumerate(preferences(n))]


def one_process(stage: Any, model: Path, out: Path, **changed: Any) -> TrainingResult:
    """Train in this process."""
    return method_of(stage)(rows(stage), model, out=out, **SETTINGS | changed)


def launched(stage: Any, model: Path, out: Path, launch: Launch | None = None, **changed: Any) -> TrainingResult:
    """Train in processes of their own."""
    return launch_training(stage, rows(stage), model, launch=launch or find_launch(TWO), out=out, **SETTINGS | changed)


def own_launch(folder: Path, **changed: Any) -> Launch:
    """Find a launch file that differs from ours for the CPU."""
    file = folder / "own.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(launch_files()[TWO].read_text("utf-8")) | changed), "utf-8")
    return find_launch(str(file))


def require_same(found: TrainingResult, expected: TrainingResult) -> None:
    """Require the same losses, counts and adapter."""
    from safetensors.torch import load_file

    assert found.losses == pytest.approx(expected.losses, abs=1e-4, rel=0)
    for name in set(expected.steps[0]) - {"seconds", "logprob_chosen", "logprob_rejected"}:
        # Before anything is trained the policy is its reference: which side is ahead of the other is rounding.
        first = 1 if name == "accuracy" else 0
        figures = [step[name] for step in expected.steps[first:]]
        assert [step[name] for step in found.steps[first:]] == pytest.approx(figures, abs=1e-4, rel=1e-4), name
    assert (found.n_rows, found.n_steps, found.n_tokens) == (expected.n_rows, expected.n_steps, expected.n_tokens)
    weights, wanted = (load_file(one.folder / "adapter_model.safetensors") for one in (found, expected))
    assert weights.keys() == wanted.keys()
    # Adam makes steps of one size of gradients of any: rounding in one near nought moves a weight by a part of a step.
    for name, values in wanted.items():
        torch.testing.assert_close(weights[name], values, rtol=1e-3, atol=PACE.learning_rate / 10)


def processes_of(folder: Path) -> dict[int, int]:
    """Find the processes of a job by their ranks."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, told = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:  # gone meanwhile
            continue
        ranks = [one for one in told.split(b"\0") if one.startswith(b"RANK=")]
        if str(folder).encode() in command and ranks:
            found[int(ranks[0].removeprefix(b"RANK="))] = int(process.name)
    return found


@pytest.mark.parametrize("stage", ["dpo", *OTHER_STAGES])
def test_two_processes_train_as_one_does(tiny_model: Path, tmp_path: Path, stage: str) -> None:
    """Every step has the loss of one process within 1e-4, with short steps and all; nothing else is left."""
    told: list[tuple[int, int]] = []
    two = launched(stage, tiny_model, tmp_path / "two", on_step=lambda step, n, _logs: told.append((step, n)))
    require_same(two, one_process(stage, tiny_model, tmp_path / "one"))
    n_reference = 2 if stage == "dpo" else 0  # an epoch of two
    assert told == [(step + 1, 4 + n_reference) for step in range(4 + n_reference)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["dpo", OTHER_STAGES[1]])
def test_sharded_weights_train_as_whole_ones_do(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """With FSDP2 each process holds a part of every layer; reference, losses, adapter and answers are those of one."""
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(parent, "_WORKER", "fsdp_on_cpu")
    ours = yaml.safe_load(launch_files()["fsdp2"].read_text("utf-8"))
    launch = replace(own_launch(tmp_path, **ours), n_processes=2, on_cpu=True)
    guard = {"guard": Guard(every=2, n_prompts=3, max_tokens=8)} if stage == "dpo" else {}
    sharded = launched(stage, tiny_model, tmp_path / "sharded", launch, **guard)
    one = one_process(stage, tiny_model, tmp_path / "one", **guard)
    require_same(sharded, one)
    assert [look["step"] for look in sharded.looks] == ([0, 2, 4] if guard else [])
    assert [look["length"] for look in sharded.looks] == [look["length"] for look in one.looks]
    assert min(int((tmp_path / f"sharded-{rank}").read_text()) for rank in range(2)) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "at_once", [True, pytest.param(False, marks=pytest.mark.thorough)], ids=["said before", "said afterwards"]
)
def test_sharded_weights_go_back_to_their_last_good(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    """Where the guard ends a sharded training, the checkpoint's parts are put together to the model of that step."""
    from safetensors.torch import load_file

    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(parent, "_WORKER", "fsdp_on_cpu")
    ours = yaml.safe_load(launch_files()["fsdp2"].read_text("utf-8"))
    launch = replace(own_launch(tmp_path, **ours), n_processes=2, on_cpu=True)
    guard = Guard(every=4, n_prompts=4, max_tokens=24, then="keep")
    alike = [row.model_copy(update={"response": "You are valid, valued, and cared for."}) for row in sft_rows(16)]
    settings: dict[str, Any] = {
        **SETTINGS,
        "pace": Pace(batch_size=4, learning_rate=2e-2, epochs=4),
        "lora": LoraSettings(r=8, alpha=16),
    }
    out = tmp_path / "sharded"
    if not at_once:
        with pytest.raises(Collapsed, match="degenerated at step 8 of 16"):
            launch_training(
                "sft", alike, tiny_model, launch=launch, out=out, guard=replace(guard, then="stop"), **settings
            )
    found = launch_training("sft", alike, tiny_model, launch=launch, out=out, guard=guard, **settings)
    whole = method_of("sft")(alike, tiny_model, out=tmp_path / "whole", guard=guard, **settings)
    assert found.n_steps == whole.n_steps == 4
    weights, wanted = (load_file(one.folder / "adapter_model.safetensors") for one in (found, whole))
    assert weights.keys() == wanted.keys()
    for name, values in wanted.items():
        torch.testing.assert_close(weights[name], values, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_process_that_dies_ends_the_training(tiny_model: Path, tmp_path: Path) -> None:
    """Which one it was and how is said, none is left running, and its checkpoint is there to go on from."""
    out = tmp_path / "sft"
    pace = replace(PACE, save_steps=1, epochs=40)

    def kill(step: int, _n_steps: int, _logs: Mapping[str, float]) -> None:
        if step == 2:
            os.kill(processes_of(tmp_path)[1], signal.SIGKILL)

    with pytest.raises(TrainingEnded, match=r"process 1 of the training's 2 was ended by SIGKILL.*last checkpoint"):
        launched("sft", tiny_model, out, pace=pace, on_step=kill)
    assert processes_of(tmp_path) == {}
    assert (tmp_path / "sft.job" / "log.txt").exists()
    assert list((tmp_path / "sft.training").glob("checkpoint-*"))


@pytest.mark.slow
def test_a_stopped_training_is_gone_on_from(tiny_model: Path, tmp_path: Path) -> None:
    """All processes stop together; the checkpoint of two is gone on from by one, to the same end."""
    out = tmp_path / "sft"
    with pytest.raises(Interrupted, match="stopped at step 1 of 4"):
        launched("sft", tiny_model, out, stop=lambda: True)
    assert [path.name for path in tmp_path.iterdir()] == ["sft.training"]
    resumed = one_process("sft", tiny_model, out)
    assert resumed.notes == ("went on from checkpoint-1",)
    require_same(resumed, one_process("sft", tiny_model, tmp_path / "one"))


@pytest.mark.slow
def test_a_reference_that_was_stopped_is_gone_on_from(tiny_model: Path, tmp_path: Path) -> None:
    """Of two processes the first keeps what both computed of it; one goes on from there, to the same end."""
    pace = replace(PACE, accumulation=1)  # a step is one pass, behind which they stop
    told: list[tuple[int, int]] = []
    with pytest.raises(Interrupted, match="reference was computed, at step 1 of"):
        launched("dpo", tiny_model, tmp_path / "dpo", pace=pace, stop=lambda: True)
    (line,) = (tmp_path / "dpo.training" / "reference.lines").read_text().splitlines()
    assert len(json.loads(line.partition(" ")[2])) == pace.batch_size
    resumed = one_process(
        "dpo", tiny_model, tmp_path / "dpo", pace=pace, on_step=lambda step, n, _logs: told.append((step, n))
    )
    assert [step for step, _ in told] == list(range(2, told[-1][1] + 1))
    require_same(resumed, one_process("dpo", tiny_model, tmp_path / "one", pace=pace))


_KILLED_SITTING = """
import os, signal, subprocess, sys, time
from pathlib import Path

guard, place = sys.argv[1], Path(sys.argv[2])
place.mkdir(parents=True)
deaf = ["bash", "-c", "trap '' TERM; touch $0; while :; do sleep 0.1; done", str(place / "deaf")]
ways = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}  # who reads what we print waits for us alone
subprocess.Popen([sys.executable, guard, str(place), *deaf], **ways, start_new_session=True)
while not (place / "deaf").exists() or not (place / "group").exists() or not (place / "group").read_text():
    time.sleep(0.01)
print((place / "group").read_text(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_processes_of_a_killed_sitting_end_before_the_next_begin(tiny_model: Path, tmp_path: Path) -> None:
    """A process that is deaf while its guard waits for it shares no checkpoint with those of the next sitting."""
    place = tmp_path / "sft.job" / "guard-1"
    command = [sys.executable, "-c", _KILLED_SITTING, guard.__file__, str(place)]
    group = int(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout)
    assert guard.is_there(group)
    seen = []
    launched("sft", tiny_model, tmp_path / "sft", on_step=lambda *_: seen.append(guard.is_there(group)))
    assert seen == [False] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["sft"]


@pytest.mark.slow
def test_an_error_of_ours_comes_through(tiny_model: Path, tmp_path: Path) -> None:
    """What a process refuses is raised here as it was there."""
    launch = own_launch(tmp_path, distributed_type="NO", num_processes=1)
    with pytest.raises(ModelError, match="cannot be put on the model"):
        launched("sft", tiny_model, tmp_path / "sft", launch, lora=LoraSettings(targets=("nowhere",)))


@pytest.mark.slow
def test_processes_that_cannot_begin_say_why(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there was no time to tell, the last words in the log are told."""
    monkeypatch.setattr(parent, "_WORKER", "nowhere")
    with pytest.raises(
        TrainingEnded, match=r"of the training's 2 ended with status 1, saying: .*No module named nowhere;"
    ):
        launched("sft", tiny_model, tmp_path / "sft")


def test_the_last_words_of_a_process_are_told(tmp_path: Path) -> None:
    """An error that is not ours names the process, what it was, and the log."""
    from charter.training.launch.job import Job, tell_error

    job = Job(tmp_path, "sft", (), "x", tmp_path / "out", on_cpu=True, settings={})
    assert job.told_error() is None
    tell_error(tmp_path, 1, MemoryError("no room"))
    error = job.told_error()
    assert isinstance(error, TrainingEnded)
    assert job.told_error(first=0) is None
    assert str(error).startswith(f"process 1 of the training failed: MemoryError: no room; {job.log} has all")


def _with_signs(row: Any) -> Any:
    """Put signs into a row's prompt at which some readers of lines would cut it in two."""
    text = f"one\u2028two\u2029three\u0085four\x0bfive {row.prompt.text}"
    turns = (*row.prompt.turns[:-1], row.prompt.turns[-1].model_copy(update={"content": text}))
    return row.model_copy(update={"prompt": row.prompt.model_copy(update={"turns": turns})})


def test_a_job_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """Like any other error of a process: with its kind and its message."""
    from charter.training.launch import worker
    from charter.training.launch.job import Job

    job = Job(tmp_path / "x.job", "sft", rows("sft"), "model", tmp_path / "x", on_cpu=True, settings=SETTINGS)
    job.write()
    (job.folder / "rows.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="validation error"):
        worker.work(job.folder)
    assert "process 0 of the training failed: ValidationError" in str(job.told_error(first=0))


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_a_job_is_read_as_it_was_written(tmp_path: Path, stage: Any) -> None:
    """Rows and settings come through their files unchanged."""
    from charter.training.launch.job import Job, read_job

    given: Sequence[Any] = [*rows(stage, 10), _with_signs(rows(stage, 11)[10])]
    settings = {**SETTINGS, "lora": LoraSettings(targets=("q_proj", "v_proj"), quantise="4bit"), "max_length": 64}
    job = Job(tmp_path / "x.job", stage, list(given), "model", tmp_path / "x", on_cpu=True, settings=settings)
    job.write()
    assert read_job(job.folder) == job
