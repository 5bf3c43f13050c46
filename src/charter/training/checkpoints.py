"""Folders that are whole or not there: checkpoints that say when they are complete, and one renamed result.

While ``out`` is being trained, everything lies in a work folder beside it (``out.training``): an identity file that
says what is being trained, checkpoints, and at last the result, which is synced and renamed to ``out``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import RunError
from charter.seeds import canonical_json

SEAL = "complete.json"  # written last: names every other file of the checkpoint with its size and sha256
_IDENTITY = "identity.json"
_PREFIX = "checkpoint-"  # the name that transformers gives a checkpoint, followed by its step


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where one training keeps its files until it is done.

    Attributes:
        out: the folder that will hold the result.
        folder: the folder beside it that holds everything until then.
        checkpoint: the newest whole checkpoint to go on from, or None to begin at the start.
        notes: what was passed over on the way, for the person to read.
    """

    out: Path
    folder: Path
    checkpoint: Path | None
    notes: tuple[str, ...]


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
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists; a training writes to a new folder: delete it, or name another")
    folder = out.with_name(out.name + ".training")
    checkpoint, notes = newest_whole(folder)
    changed = _changed(folder, identity)
    if changed is not None or not resume:
        if checkpoint is not None and resume:
            notes = (f"{checkpoint.name} was deleted: it is of another training ({changed})",)
        checkpoint = None
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / _IDENTITY, canonical_json(dict(identity)))
    return Workplace(out, folder, checkpoint, notes)


def seal(checkpoint: Path) -> None:
    """Declare a checkpoint complete: sync its files, then write their sizes and hashes last."""
    files = {str(path.relative_to(checkpoint)): _measure(path) for path in _files(checkpoint)}
    _sync(checkpoint)
    write_whole(checkpoint / SEAL, canonical_json({"files": files}))


def damage(checkpoint: Path) -> str | None:
    """Say what is wrong with a checkpoint, or None if it is whole."""
    try:
        sealed = json.loads((checkpoint / SEAL).read_text("utf-8"))["files"]
    except FileNotFoundError:
        return "it was not finished"
    except (ValueError, KeyError, TypeError):
        return f"its {SEAL} cannot be read"
    for name, measured in sealed.items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != measured["size"]:
            return f"{name} has {path.stat().st_size} bytes instead of {measured['size']}"
        if _measure(path) != measured:
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


def prune(folder: Path, newest: Path) -> None:
    """Delete all checkpoints but one that is whole."""
    for checkpoint in _checkpoints(folder):
        if checkpoint != newest:
            shutil.rmtree(checkpoint)


def publish(staged: Path, out: Path) -> None:
    """Put a finished folder in its place: sync it, then rename it."""
    _sync(staged)
    out.parent.mkdir(parents=True, exist_ok=True)
    staged.rename(out)
    _sync_folder(out.parent)


def finish(workplace: Workplace, staged: Path) -> None:
    """Publish the result and delete the work folder."""
    publish(staged, workplace.out)
    shutil.rmtree(workplace.folder)


def _changed(folder: Path, identity: Mapping[str, Any]) -> str | None:
    """Say in what the identity of the work folder differs from this one; None if in nothing."""
    try:
        before = json.loads((folder / _IDENTITY).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return "nothing says of which"
    now = json.loads(canonical_json(dict(identity)))
    return ", ".join(sorted(key for key in {*before, *now} if before.get(key) != now.get(key))) or None


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


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that it is there whole, on the disk, or not at all."""
    written = path.with_name(path.name + ".new")
    with written.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    written.replace(path)
    _sync_folder(path.parent)


def _sync(folder: Path) -> None:
    for path in _files(folder):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for path in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
        _sync_folder(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
