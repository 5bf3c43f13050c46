"""How far a run is: read from its folder, whether a process is at work in it or not."""

from __future__ import annotations

import shlex
import typing
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import filelock

from charter.errors import RunError
from charter.files.tables import read_json
from charter.pipeline import FORGOTTEN
from charter.recipe import Recipe, Stage, load_recipe
from charter.records import Measurement
from charter.store import Journal

State = Literal["done", "done with failures", "running", "interrupted", "waiting"]

STAGE_NAMES: tuple[str, ...] = typing.get_args(Stage)


@dataclass(frozen=True)
class StageStatus:
    """One stage: its state, and what became of its rows so far.

    A stage ``done with failures`` ended without some of its rows, which the next run tries again. Of a stage that is
    done the figures are its summary's; of another one, the journal's. ``filtered`` and ``failed`` count rows by reason.
    ``seconds`` is None before the stage is done.
    """

    stage: str
    state: State
    n_done: int = 0
    filtered: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    seconds: float | None = None

    @property
    def is_done(self) -> bool:
        """Whether the stage has ended, with or without failures."""
        return self.state in {"done", "done with failures"}


@dataclass(frozen=True)
class RunStatus:
    """A run: its stages in order, who is at work in it (empty: nobody), and what to do next."""

    folder: Path
    name: str
    holder: str
    stages: tuple[StageStatus, ...]
    n_damaged: int
    next_step: str

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them."""
        return {**asdict(self), "folder": str(self.folder)}


def read_status(folder: Path) -> RunStatus:
    """Read how far a run is; a run under way is not disturbed.

    Raises:
        RunError: where the folder is none of a run.
    """
    recipe = read_run_recipe(folder)
    holder = _holder(folder)
    journal = folder / "journal.sqlite"
    ends, n_damaged = _ends(journal) if journal.exists() else ({}, 0)
    stages: list[StageStatus] = []
    for name in STAGE_NAMES:
        is_next = not stages or stages[-1].is_done
        stages.append(_stage(folder, name, ends.get(name, Counter()), is_next=is_next, is_held=bool(holder)))
    return RunStatus(folder, recipe.name, holder, tuple(stages), n_damaged, _next_step(folder, holder, stages))


def read_run_recipe(folder: Path) -> Recipe:
    """Read the recipe that a run folder belongs to.

    Raises:
        RunError: where the folder is none of a run.
    """
    resolved = folder / "recipe.resolved.yaml"
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; name the folder of a run, which 'charter run' prints last")
    if not resolved.exists():
        raise RunError(f"{folder}: is no run's folder (it has no {resolved.name}); name one that 'charter run' made")
    return load_recipe(resolved)


def read_summaries(folder: Path) -> dict[str, Any]:
    """Read the summaries of the stages that are done, in order."""
    paths = {name: folder / "stages" / f"{name}.json" for name in STAGE_NAMES}
    return {name: read_json(path) for name, path in paths.items() if path.exists()}


def read_measurements(folder: Path) -> tuple[tuple[str, ...], tuple[Measurement, ...]]:
    """Read which models were measured, and the figures; both are empty before the evaluation."""
    path = folder / "evaluation.json"
    if not path.exists():
        return (), ()
    found = read_json(path)
    return tuple(found["models"]), tuple(Measurement.model_validate(one) for one in found["measurements"])


def _stage(folder: Path, name: str, ends: Counter[tuple[str, str]], *, is_next: bool, is_held: bool) -> StageStatus:
    summary = folder / "stages" / f"{name}.json"
    if summary.exists():
        found = read_json(summary)
        ended: State = "done with failures" if found["failed"] else "done"
        return StageStatus(name, ended, found["n_done"], found["filtered"], found["failed"], found["seconds"])
    state: State = "waiting"
    if is_next:
        state = "running" if is_held else "interrupted" if ends else "waiting"
    return StageStatus(
        name,
        state,
        n_done=sum(n for (status, _), n in ends.items() if status == "done"),
        filtered=_reasons(ends, "filtered"),
        failed=_reasons(ends, "failed"),
    )


def _reasons(ends: Counter[tuple[str, str]], wanted: str) -> dict[str, int]:
    return {reason: n for (status, reason), n in sorted(ends.items()) if status == wanted}


def _ends(path: Path) -> tuple[Mapping[str, Counter[tuple[str, str]]], int]:
    """Count the journal's rows by stage, end and reason."""
    found: dict[str, Counter[tuple[str, str]]] = {}
    with Journal(path) as journal:
        for recorded in journal.stages():
            counted = found.setdefault(recorded.partition("/")[0], Counter())
            for end in journal.outcomes(recorded).values():
                if end.payload != FORGOTTEN:
                    counted[end.status, "" if end.status == "done" else end.payload] += 1
        return found, journal.n_damaged


def _holder(folder: Path) -> str:
    """Say who is at work in the folder. A process that was killed leaves its name, but not its lock."""
    name = folder / ".holder"
    if not name.exists():
        return ""
    try:
        with filelock.FileLock(folder / ".lock", timeout=0):
            return ""
    except filelock.Timeout:
        return name.read_text("utf-8") if name.exists() else "another process"
    except OSError:  # a folder that this person may only read
        return ""


def _next_step(folder: Path, holder: str, stages: list[StageStatus]) -> str:
    if holder:
        return f"{holder} is at work here; wait for it"
    command = shlex.join(["charter", "run", str(folder / "recipe.resolved.yaml"), "--out", str(folder)])
    left = [stage.stage for stage in stages if not stage.is_done]
    if left:
        return f"go on with {left[0]!r}: {command}"
    n_failed = sum(sum(stage.failed.values()) for stage in stages)
    if n_failed:
        return f"try the {n_failed} failed rows again: {command}"
    return f"read {folder / 'report.html'}"
