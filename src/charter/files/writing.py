"""Files that appear whole or not at all: the one place that writes under a temporary name, syncs and renames."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from charter.errors import RunError, UserError


def replace_whole(path: Path, write: Callable[[Path], object], *, shared: bool = False) -> None:
    """Write a file in its folder under a temporary name, sync, rename: whatever fails, what was there stays whole.

    Args:
        path: the file.
        write: writes it, to the path that it is given.
        shared: whether another process may write the same file at this moment. Each has a temporary name of its own
            then; else there is one, so that what a killed process left is written over by the next.

    Raises:
        OSError: where the disk is full or the folder cannot be written.
    """
    mark = f".{uuid.uuid4().hex}" if shared else ""
    temporary = path.with_name(f".{path.name}{mark}.partial")
    try:
        write(temporary)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        with contextlib.suppress(OSError):  # the first failure is the one to tell
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside ``out`` to write in, which gets its name at last: it appears whole or not at all.

    Raises:
        UserError: where ``out`` is there and holds something, or cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "is not empty" if out.is_dir() else "is a file"
        raise UserError(f"{out}: {what}; name a new folder, or remove it first")
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        for path in temporary.rglob("*"):
            sync(path)
        temporary.replace(out)
        sync(out.parent)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error}); check free space and rights") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def cannot_be_written(path: Path, error: OSError) -> RunError:
    """Say that a file of a run cannot be written, and what to do."""
    return RunError(
        f"{path}: cannot be written ({error.strerror or error}). Check free space and permissions, then run the same "
        "command again: what was recorded is kept."
    )


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
