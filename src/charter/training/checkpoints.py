"""Folders that are whole or not there: checkpoints that say when they are complete, and one renamed result.

While ``out`` is being trained, everything lies in a work folder beside it (``out.training``): an identity file that
says what is being trained, checkpoints, and at last the result, which is synced and renamed to ``out``. The result
says itself what made it and what came of it (``training.json``), so that it can be taken back and found done.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charter.errors import RunError
from charter.files.tables import write_json, write_text
from charter.files.writing import sync
from charter.seeds import canonical_json

SEAL = "complete.json"  # written last: names every other file of the checkpoint with its size and sha256
ACCOUNT = "training.json"  # in a result: the training's identity, and what is told of it
_IDENTITY = "identity.json"
_OPTIMISER = {"none": "optimizer.pt", "fsdp": "optimizer.bin"}  # in a checkpoint, by how weights are divided
_PREFIX = "checkpoint-"  # the name that transformers gives a checkpoint, followed by its step


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where one training keeps its files until it is done.

    Attributes:
        out: the folder that will hold the result.
        folder: the folder beside it that holds everything until then.
        identity: what determines the training.
        checkpoint: the newest whole checkpoint to go on from, or None to begin at the start.
        notes: what was passed over on the way, for the person to read.
    """

    out: Path
    folder: Path
    identity: Mapping[str, Any]
    checkpoint: Path | None
    notes: tuple[str, ...]

    @property
    def staged(self) -> Path:
        """Where the result is put together."""
        return _staged(self.folder)


def open_workplace(out: Path, identity: Mapping[str, Any], *, resume: bool) -> Workplace:
    """Prepare the work folder of a training, and find what it can go on from.

    Args:
        out: the folder that will hold the result.
        identity: JSON values that determine the training; a training goes on only from its own checkpoints, and
            deletes those of another.
        resume: whether to go on from the newest whole checkpoint; else what is there is deleted.

    Raises:
        RunError: if ``out`` exists.
    """
    _require_new(out)
    folder, now = _work_folder(out), _plain(identity)
    checkpoint, notes = newest_whole(folder)
    finished = account_of(_staged(folder))
    before = finished["identity"] if finished else _read(folder / _IDENTITY)
    if before != now or not resume:
        if resume and (checkpoint or finished):
            what = "the finished model" if finished else checkpoint and checkpoint.name
            notes = (f"{what} was deleted: it is of another training ({_difference(before, now)})",)
        checkpoint = None
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / _IDENTITY, canonical_json(now))
    return Workplace(out, folder, now, checkpoint, notes)


def fitting(workplace: Workplace, sharding: str) -> Workplace:
    """Pass over a checkpoint whose weights were divided otherwise: its optimiser's state would not be read.

    Args:
        workplace: of the training.
        sharding: how weights are divided now (see ``ranks.sharding``).
    """
    if workplace.checkpoint is None:
        return workplace
    kinds = (kind for kind, file in _OPTIMISER.items() if (workplace.checkpoint / file).exists())
    before = next(kinds, "deepspeed")  # which has a folder of its own
    if before == sharding:
        return workplace
    note = f"{workplace.checkpoint.name} was passed over: its weights were divided otherwise ({before}, now {sharding})"
    return replace(workplace, checkpoint=None, notes=(*workplace.notes, note))


def seal(checkpoint: Path) -> None:
    """Declare a checkpoint complete: sync its files, then write their sizes and hashes last."""
    files = {str(path.relative_to(checkpoint)): _measure(path) for path in _files(checkpoint)}
    _sync_all(checkpoint)
    write_text(checkpoint / SEAL, canonical_json({"files": files}))


def damage(checkpoint: Path) -> str | None:
    """Say what is wrong with a checkpoint, or None if it is whole."""
    try:
        sealed = json.loads((checkpoint / SEAL).read_text("utf-8"))["files"]
        sizes = {name: int(measured["size"]) for name, measured in sealed.items()}
    except FileNotFoundError:
        return "it was not finished"
    except (ValueError, KeyError, TypeError, AttributeError):  # torn, or altered into something else
        return f"its {SEAL} cannot be read"
    for name, size in sizes.items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes instead of {size}"
        if _measure(path) != sealed[name]:
            return f"{name} was altered"
    return None


def newest_whole(folder: Path) -> tuple[Path | None, tuple[str, ...]]:
    """Find the newest whole checkpoint in a work folder.

    Returns:
        It, or None if there is none; and a note on each newer one that is not whole.
    """
    notes: list[str] = []
    for checkpoint in reversed(_checkpoints(folder)):
        wrong = damage(checkpoint)
        if wrong is None:
            return checkpoint, tuple(notes)
        notes.append(f"{checkpoint.name} was passed over: {wrong}")
    return None, tuple(notes)


def prune(folder: Path, newest: Path, *others: int) -> None:
    """Delete all checkpoints but one that is whole, the sealed one before it, and those of other steps.

    The one before it is gone on from where the newest is found torn: a disk may lose what was synced.
    """
    found = _checkpoints(folder)
    kept = {newest, *(checkpoint_at(folder, step) for step in others)}
    before = [one for one in found[: found.index(newest)] if (one / SEAL).exists()]
    kept |= set(before[-1:])
    for checkpoint in found:
        if checkpoint not in kept:
            shutil.rmtree(checkpoint)


def drop_after(folder: Path, step: int) -> None:
    """Delete the checkpoints behind a step."""
    for checkpoint in _checkpoints(folder):
        if int(checkpoint.name.removeprefix(_PREFIX)) > step:
            shutil.rmtree(checkpoint)


def step_of(workplace: Workplace) -> int:
    """Say at which step a training goes on; 0 where it begins."""
    return int(workplace.checkpoint.name.removeprefix(_PREFIX)) if workplace.checkpoint else 0


def checkpoint_at(folder: Path, step: int) -> Path:
    """Name the checkpoint of a step in a work folder."""
    return folder / f"{_PREFIX}{step}"


def publish(staged: Path, out: Path) -> None:
    """Put a finished folder in its place: sync it, then rename it."""
    _sync_all(staged)
    out.parent.mkdir(parents=True, exist_ok=True)
    staged.rename(out)
    sync(out.parent)


def finish(workplace: Workplace, told: Mapping[str, Any]) -> None:
    """Publish the staged result with the account of its training, and delete the work folder.

    Args:
        workplace: whose ``staged`` holds all else of the result.
        told: what is told of the training, as JSON values.
    """
    _sync_all(workplace.staged)  # the account is written last: where it is, the result is whole
    write_json(workplace.staged / ACCOUNT, {"identity": workplace.identity, "told": told})
    publish(workplace.staged, workplace.out)
    shutil.rmtree(workplace.folder)


def take_back(out: Path) -> bool:
    """Move a published result back to its work folder, where the same training finds it done.

    For whoever was stopped after the training, and before saying anywhere that it is done.

    Returns:
        Whether it was; False where ``out`` is no result that says what made it.
    """
    if account_of(out) is None:
        return False
    folder = _work_folder(out)
    shutil.rmtree(folder, ignore_errors=True)  # checkpoints of what is finished
    folder.mkdir()
    out.rename(_staged(folder))
    return True


def publish_again(out: Path, identity: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Put the finished result of the same training in its place, where the work folder holds one.

    Returns:
        What ``finish`` was told of it; None if there is none.

    Raises:
        RunError: if ``out`` exists.
    """
    _require_new(out)
    folder = _work_folder(out)
    found = account_of(_staged(folder))
    if found is None or found["identity"] != _plain(identity):
        return None
    publish(_staged(folder), out)
    shutil.rmtree(folder)
    told: Mapping[str, Any] = found["told"]
    return told


def account_of(result: Path) -> dict[str, Any] | None:
    """Read what a result says of itself: its training's ``identity``, and what is ``told``; None where it does not."""
    found = _read(result / ACCOUNT)
    return found if found and {"identity", "told"} <= found.keys() else None


def _require_new(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists; a training writes to a new folder: delete it, or name another")


def _work_folder(out: Path) -> Path:
    return out.with_name(out.name + ".training")


def _staged(folder: Path) -> Path:
    return folder / "result"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):  # not there, or torn: it says nothing
        return None
    return found if isinstance(found, dict) else None


def _plain(identity: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(canonical_json(dict(identity)))
    return plain


def _difference(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> str:
    if before is None:
        return "nothing says of which"
    return ", ".join(sorted(key for key in {*before, *now} if before.get(key) != now.get(key)))


def _checkpoints(folder: Path) -> list[Path]:
    numbered = [
        (int(path.name.removeprefix(_PREFIX)), path)
        for path in folder.glob(f"{_PREFIX}*")
        if path.is_dir() and path.name.removeprefix(_PREFIX).isdecimal()
    ]
    return [path for _, path in sorted(numbered)]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SEAL)


def _measure(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _sync_all(folder: Path) -> None:
    inside = list(folder.rglob("*"))
    for path in (*(path for path in inside if path.is_file()), *(path for path in inside if path.is_dir()), folder):
        sync(path)
