"""A training begun in processes of its own, and watched until it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from charter.errors import CharterError, Interrupted, TrainingEnded
from charter.processes import guard
from charter.records import Preference, SftRow
from charter.training.launch.configurations import Launch
from charter.training.launch.job import GO_ON, Job
from charter.training.methods import StageName
from charter.training.pace import OnStep, Stop, Watch
from charter.training.results import TrainingResult

_LOOK_SECONDS = 0.1
_SECONDS_TO_END = 20.0  # a guard gives its processes five, and as long again before it kills them
_GUARD = "guard-"
_WORKER = "charter.training.launch.worker"
# What torch's launcher writes of the process that ended first.
_FIRST_ENDED = re.compile(r"Root Cause.*?rank\s*:\s*(\d+).*?exitcode\s*:\s*(-?\d+)", re.DOTALL)
# What it writes itself comes behind what the processes wrote.
_LAUNCHERS_OWN = re.compile(r"^\S*E\d{4} [\d:.]+ .*failed \(exitcode|^Traceback .*\n.*runpy", re.MULTILINE)


def launch_training(
    stage: StageName,
    rows: Sequence[SftRow] | Sequence[Preference],
    model: str | Path,
    *,
    launch: Launch,
    out: Path,
    on_step: OnStep | None = None,
    stop: Stop | None = None,
    **settings: Any,
) -> TrainingResult:
    """Train in processes that ``accelerate launch`` starts; they do what the stage's function does in one.

    The processes end with this one, however it ends. What they write goes to a log beside ``out``, which stays there
    where the training fails.

    Args:
        stage: which function trains.
        rows: what to train on.
        model: what to train.
        launch: how the processes are started.
        out: the folder to write; it must not exist.
        on_step: told of each step of the first process.
        stop: asked several times a second; if it says True, a checkpoint is written and ``Interrupted`` raised.
        settings: the other arguments of the function that trains.

    Raises:
        TrainingEnded: where a process ended before the training did.
        CharterError: what the function raises that trains.
    """
    folder = out.with_name(out.name + ".job")
    _wait_for_last(folder)
    shutil.rmtree(folder, ignore_errors=True)
    job = Job(folder, stage, list(rows), str(model), out, launch.on_cpu, settings)
    job.write()
    watch = Watch.of(on_step, stop)
    with _processes(job, launch) as process:
        heard = 0
        while process.poll() is None:
            if watch.stop() and not job.stop.exists():
                job.stop.touch()
            heard = _hear(job, watch, heard)
            time.sleep(_LOOK_SECONDS)
        _hear(job, watch, heard)
    if process.returncode or not job.result.exists():
        why = _why(job, launch)
        if isinstance(why, Interrupted):
            shutil.rmtree(folder)
        raise why
    result = TrainingResult.from_json(json.loads(job.result.read_text("utf-8")), out)
    shutil.rmtree(folder)
    return result


def launch_command(job: Path, launch: Launch) -> list[str]:
    """Write the command that starts the processes of a job."""
    given = ["--config_file", str(launch.path), "--num_processes", str(launch.count())]
    return [sys.executable, "-m", "accelerate.commands.launch", *given, "-m", _WORKER, str(job)]


def _wait_for_last(folder: Path) -> None:
    """Wait until the processes of a sitting that was killed are gone: their guard ends them, in its own time."""
    end = time.monotonic() + _SECONDS_TO_END
    for group in folder.glob(f"{_GUARD}*/{guard.GROUP}"):
        with contextlib.suppress(OSError, ValueError):  # the guard takes it along
            while guard.is_there(int(group.read_text("utf-8"))) and time.monotonic() < end:
                time.sleep(_LOOK_SECONDS)


@contextlib.contextmanager
def _processes(job: Job, launch: Launch) -> Iterator[subprocess.Popen[bytes]]:
    """Start the processes, and end them with the block."""
    place = job.folder / f"{_GUARD}{os.getpid()}"  # the guard of a sitting that was killed may yet remove its own
    place.mkdir()
    command = [sys.executable, guard.__file__, str(place), *launch_command(job.folder, launch)]
    ours = {"TOKENIZERS_PARALLELISM": "false"}
    if launch.on_cpu:
        ours["OMP_WAIT_POLICY"] = "passive"  # threads that spin take the cores from the other processes
    with job.log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - of our own making
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, **ours},
            start_new_session=True,  # Ctrl-C is ours to answer
        )
    try:
        yield process
    finally:
        guard.release(process, place)


def _hear(job: Job, watch: Watch, heard: int) -> int:
    """Pass on the steps that were told of since; gives how much of the file was read."""
    if not job.steps.exists():
        return heard
    with job.steps.open("rb") as file:
        file.seek(heard)
        told = file.read()
    whole = told[: told.rfind(b"\n") + 1]
    for line in whole.splitlines():
        step, n_steps, logs = json.loads(line)
        watch.on_step(step, n_steps, logs)
    return heard + len(whole)


def _why(job: Job, launch: Launch) -> CharterError:
    """Find out why a training did not end well."""
    log = job.log.read_text("utf-8", "replace")
    found = _FIRST_ENDED.search(log)
    told = job.told_error(int(found[1]) if found else None)
    if told is not None:
        return told
    words = [line.strip() for line in _LAUNCHERS_OWN.split(log)[0].splitlines() if line.strip()]
    last = f", saying: {words[-1]}" if words else ""
    what = f"the training on {launch.count()} processes ended before it was done{last}"
    if found:
        status = int(found[2])
        said = last if status >= 0 else ""  # who is killed says nothing of it
        what = f"process {found[1]} of the training's {launch.count()} {_ended(status)}{said}"
    return TrainingEnded(f"{what}; {job.log} has all that they wrote. {GO_ON}")


def _ended(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    name = signal.Signals(-status).name
    memory = ", as the system does where memory runs out: lower the batch_size" if name == "SIGKILL" else ""
    return f"was ended by {name}{memory}"
