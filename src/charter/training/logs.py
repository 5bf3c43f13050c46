"""Where a training's figures go as they come, beside its own records: TensorBoard's files, Weights & Biases, trackio.

The figures alone are handed on, by names and steps: no settings, paths or texts. Only what the recipe names is told of
a training, but for TensorBoard's files, which stay on this machine.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback

from charter.errors import RecipeError
from charter.files.tables import write_text
from charter.seeds import digest
from charter.training import ranks
from charter.training.checkpoints import Workplace, step_of
from charter.training.destinations import Destination, Logs, logs_lack

LOOK = "guard_"  # how the name of a figure begins that a guard saw


class _Writer(Protocol):
    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Take the figures of a step."""

    def close(self) -> None:
        """Write what is left."""


class _TensorBoard:
    def __init__(self, logs: Logs, done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = Path(logs.folder) / "tensorboard" / logs.name
        if not done:  # of a training that was begun before
            shutil.rmtree(folder, ignore_errors=True)
        _wait_for_a_later_name(folder)
        # Steps behind the checkpoint that is gone on from come again: what was told of them is not shown.
        self._writer = SummaryWriter(str(folder), purge_step=done + 1 if done else None)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _wait_for_a_later_name(folder: Path) -> None:
    """Wait until a file that is begun now comes after those that lie there.

    TensorBoard reads them in the order of their names, which begin with the second; what follows it is in no order.
    """
    seconds = [int(path.name.split(".")[3]) for path in folder.glob("events.out.tfevents.[0-9]*.*")]
    if seconds and 0 <= max(seconds) - int(time.time()) <= 1:  # not where the clock was set back since
        time.sleep(max(seconds) + 1 - time.time())


class _Wandb:
    def __init__(self, logs: Logs, key: str) -> None:
        import wandb

        os.environ.setdefault("WANDB_DISABLE_WEAVE", "true")  # which would record what servers are asked and answer
        folder = Path(logs.folder)
        folder.mkdir(parents=True, exist_ok=True)  # wandb/ is made in it; else it takes another place
        # Neither the command, the machine, the code nor the packages: figures alone.
        settings = wandb.Settings(
            console="off", disable_git=True, silent=True, x_disable_machine_info=True, x_save_requirements=False
        )
        self._run: Any = wandb.init(
            project=logs.project,
            name=f"{logs.name}-{key[:8]}",
            id=key,
            resume="allow",
            dir=str(folder),
            settings=settings,
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self._run.log({**figures, "step": step})

    def close(self) -> None:
        self._run.finish()


class _Trackio:
    def __init__(self, logs: Logs, key: str) -> None:
        import trackio

        self._trackio: Any = trackio
        with contextlib.redirect_stdout(io.StringIO()):  # it tells how to look at the curves
            trackio.init(project=logs.project, name=f"{logs.name}-{key[:8]}", resume="allow", embed=False)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self._trackio.log(dict(figures), step=step)

    def close(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self._trackio.finish()


class Once:
    """Tells a writer that keeps all it is told of each step once: steps behind a checkpoint come again, and alike.

    Args:
        writer: who is told.
        file: where the last step stands that it was told of, by kind of figures; it goes with the training's folder.
    """

    def __init__(self, writer: _Writer, file: Path) -> None:
        self._writer, self._file = writer, file
        try:
            self._told: dict[str, int] = {str(kind): int(step) for kind, step in json.loads(file.read_text()).items()}
        except (OSError, ValueError, AttributeError):  # none yet, or torn: it begins here
            self._told = {}

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Hand the figures of a step on, unless they were before."""
        kind = next(iter(figures), "").partition("/")[0]
        if step <= self._told.get(kind, -1):
            return
        self._writer.log(step, figures)
        self._told[kind] = step
        write_text(self._file, json.dumps(self._told))

    def close(self) -> None:
        """Have the writer write what is left."""
        self._writer.close()


class _Follower(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Hands a training's figures on, of its steps and of its guard's looks."""

    def __init__(self, writers: Sequence[_Writer]) -> None:
        self._writers = writers

    def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
        """Name the figures by what they are of, and hand on those that are finite numbers."""
        looked = all(name.startswith(LOOK) for name in logs)
        if not looked and "loss" not in logs:  # the library's own summary at the end
            return
        named = {
            f"guard/{name.removeprefix(LOOK)}" if looked else f"train/{name}": value for name, value in logs.items()
        }
        figures = {name: float(value) for name, value in named.items() if _is_finite(value)}
        for writer in self._writers:
            writer.log(state.global_step, figures)


@contextlib.contextmanager
def followed(trainer: Any, logs: Logs | None, workplace: Workplace) -> Iterator[None]:
    """Hand the figures of a training on while it runs; of several processes the first does.

    Curves that were begun before are continued from the checkpoint that is gone on from.

    Raises:
        RecipeError: where something is missing that was asked for.
    """
    if logs is None or not logs.to or not ranks.is_first():
        yield
        return
    lacks = logs_lack(logs.to)
    if lacks:
        raise RecipeError(f"training.logs: {lacks}")
    with contextlib.ExitStack() as opened:
        writers: list[_Writer] = []
        for one in logs.to:
            writers.append(_open(one, logs, workplace))
            opened.callback(writers[-1].close)
        trainer.add_callback(_Follower(writers))
        yield


def _open(destination: Destination, logs: Logs, workplace: Workplace) -> _Writer:
    if destination == "tensorboard":
        return _TensorBoard(logs, step_of(workplace))
    key = digest([logs.folder, logs.name, workplace.identity])[:16]  # of this training in this run, and no other
    writer = _Wandb(logs, key) if destination == "wandb" else _Trackio(logs, key)
    return Once(writer, workplace.folder / f"told-{destination}.json")


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
