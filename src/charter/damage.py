"""Whether what a finished stage made is still there, and what to do where it is not: cheap, nothing is read whole."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from charter.errors import RunError
from charter.files.tables import check_table, read_json
from charter.recipe.stages import verb_of
from charter.records import Figures
from charter.runs.place import RESOLVED
from charter.stages import written_by

_KINDS: Mapping[str, tuple[type, ...]] = {
    "n_in": (int,), "n_done": (int,), "filtered": (dict,), "failed": (dict,), "seconds": (int, float),
}  # fmt: skip
_HEADER_BYTES = 8  # how long the header of a safetensors file says that it is


@dataclass(frozen=True)
class Damage:
    """What is wrong with a stage that was done, and what to do about it."""

    stage: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}; stage {self.stage!r} had been done: {self.remedy}"


def find_damage(folder: Path, names: Sequence[str]) -> list[Damage]:
    """Find which of the named stages are done and lack what they made, or have it in a state that cannot be read.

    A table is held to its footer, a model to the length of its weights.
    """
    found = []
    for name in names:
        problem = next(_problems(folder, name), None)
        if problem is not None:
            found.append(Damage(name, problem, _remedy(folder, name)))
    return found


def read_summary(path: Path) -> dict[str, Any]:
    """Read what a stage said of itself when it was done.

    Raises:
        RunError: where it is missing or is no summary.
    """
    found = read_json(path)
    if not isinstance(found, dict) or not all(isinstance(found.get(key), kind) for key, kind in _KINDS.items()):
        raise RunError(f"{path}: is damaged: it holds no stage's summary")
    return found


def read_figures(path: Path) -> Figures:
    """Read what an evaluation measured.

    Raises:
        RunError: where it is missing or is no evaluation.
    """
    try:
        return Figures.model_validate(read_json(path))
    except ValidationError as error:
        raise RunError(f"{path}: is damaged: it holds no evaluation") from error


def _problems(folder: Path, name: str) -> Iterator[str]:
    path = folder / "stages" / f"{name}.json"
    if not path.exists():
        return
    try:
        summary = read_summary(path)
        untrained = "skipped" in summary.get("training", {})
        for written in written_by(name):
            if not (untrained and written.startswith("models/")):
                _check(folder / written)
    except RunError as error:
        yield str(error)


def _check(path: Path) -> None:
    if not path.exists():
        raise RunError(f"{path}: is missing")
    if path.is_dir():
        _check_weights(path)
    elif path.suffix == ".parquet":
        check_table(path)
    elif path.suffix == ".json":
        read_figures(path)


def _check_weights(folder: Path) -> None:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise RunError(f"{folder}: holds no weights")
    for path in weights:
        try:
            with path.open("rb") as file:
                n_header = int.from_bytes(file.read(_HEADER_BYTES), "little")
                header = json.loads(file.read(n_header))
            end = max(one["data_offsets"][1] for name, one in header.items() if name != "__metadata__")
            is_whole = path.stat().st_size == _HEADER_BYTES + n_header + end
        except (OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError):
            is_whole = False
        if not is_whole:
            raise RunError(f"{path}: is damaged: its length is not what its header says")


def _remedy(folder: Path, name: str) -> str:
    recipe = str(folder / RESOLVED)
    run = shlex.join(["charter", "run", recipe, "--out", str(folder)])
    if name == "report":
        is_drawn = (folder / "report.html").exists()  # then it is the summary that is damaged
        return f"write it anew: {run if is_drawn else shlex.join(['charter', 'report', str(folder)])}"
    if name == "prompts":  # which has no command of its own that would do it again
        return f"restore it, or remove {folder / 'stages' / name}.json and do what follows again: {run}"
    command = shlex.join(["charter", *verb_of(name), recipe, "--out", str(folder), "--again"])
    return f"restore it, or do the stage again, which undoes the later ones: {command}"
