"""The place of a run: a folder that is made, held by one process at a time, and left as it was where no run began."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock

from charter.errors import Busy, RunError

#: The file that marks a folder as a run's.
RESOLVED = "recipe.resolved.yaml"

#: Where the shards of a run have their folders.
SHARDS = "shards"

#: Where those who do rows elsewhere keep their journals, until these are taken into the run's.
WORKERS = "workers"

_LOCK, _HOLDER = ".lock", ".holder"
_GLANCE_SECONDS = 0.2  # longer than anybody holds a lock only to see whether it is held
_MIN_FREE_BYTES = 1_000_000_000  # adapters, checkpoints and journal of a small run, with room to spare


@dataclass
class Place:
    """A folder that is held; what was made for it is removed again unless it ``is_taken``."""

    is_taken: bool = False


def is_run(folder: str | Path) -> bool:
    """Tell whether a folder is a run's."""
    return (Path(folder) / RESOLVED).exists()


def check_contents(folder: Path) -> None:
    """Raise RunError for a file, and for a folder that holds other files than a run's."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; name a folder with --out")
    if folder.is_dir() and not is_run(folder):
        foreign = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        if foreign:
            some = ", ".join(sorted(foreign)[:3])
            raise RunError(f"{folder}: holds other files ({some}); name a new folder with --out")


def check_writable(folder: Path) -> None:
    """Check that a folder can be written, or be made where there is none, and has room; nothing is left there.

    Raises:
        RunError: where a run could not begin.
    """
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    try:
        # Only writing tells: permissions say nothing of a disk that is read-only, nor to the superuser.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error
    _require_room(folder, existing)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[Place]:
    """Make a folder where there is none, and hold it.

    Raises:
        Busy: where it is held by another process.
        RunError: where it holds something else, cannot be written, or has no room.
    """
    check_contents(folder)
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    place = Place()
    with _locked(folder):
        try:
            _require_room(folder, folder)
            yield place
        finally:
            if missing and not place.is_taken:
                _remove(folder, missing)


def require_no_shards(folder: Path) -> None:
    """Check that no shard of a run is at work: it rests on what the run has done, which must not change meanwhile.

    Raises:
        Busy: naming a shard that is.
    """
    for shard in sorted(folder.glob(f"{SHARDS}/*")):
        holder = holder_of(shard)
        if holder:
            raise Busy(f"{shard}: {holder} is at work on this shard of the run; wait for it")


def holder_of(folder: Path) -> str:
    """Say who is at work in the folder. A process that was killed leaves its name, but not its lock.

    The lock is asked, whether or not a name is seen: over a network a name may be seen late.
    """
    return _named(folder) if _is_held(folder / _LOCK) else ""


def _named(folder: Path) -> str:
    """Read who holds the folder; a holder that ends in between takes its name along."""
    try:
        return (folder / _HOLDER).read_text("utf-8") or "another process"
    except OSError:
        return "another process"


def _is_held(lock: Path) -> bool:
    """Tell whether a process holds a lock, which may be another person's: it is only read."""
    try:
        import fcntl

        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: who looks is in no other's way who looks
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except (ImportError, OSError):  # another system, or a disk that has no such locks
        return _is_refused(lock)
    return False


def _is_refused(lock: Path) -> bool:
    """Tell whether a lock cannot be had."""
    if not lock.exists():
        return False
    try:
        with filelock.FileLock(lock, timeout=0):
            return False
    except filelock.Timeout:
        return True
    except OSError:  # not even to be read: nothing can be known
        return False


def _unwritable(folder: Path, error: OSError) -> RunError:
    return RunError(f"{folder}: cannot be written ({error.strerror}); name another folder with --out")


def _require_room(folder: Path, existing: Path) -> None:
    free = shutil.disk_usage(existing).free
    if free < _MIN_FREE_BYTES:
        raise RunError(
            f"{folder}: {free / 1e9:.2f} GB are free, a run needs {_MIN_FREE_BYTES / 1e9:.0f} GB; make room, or name a "
            "folder on another disk with --out"
        )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make a folder and hold it; the system lets go of it when the process ends, however it ends."""
    lock = filelock.FileLock(folder / _LOCK)
    holder = folder / _HOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_GLANCE_SECONDS)
    except filelock.Timeout as error:
        who = _named(folder)
        raise Busy(f"{folder}: {who} is running on this folder; wait for it, or name another with --out") from error
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        # Under the lock this is also what tells whether the folder can be written: nobody else touches the file.
        _sign(holder, folder)
        yield
    finally:
        with contextlib.suppress(OSError):  # a name without its lock says nothing
            holder.unlink(missing_ok=True)
        lock.release()


def _sign(holder: Path, folder: Path) -> None:
    """Write who holds the folder."""
    try:
        holder.write_text(f"process {os.getpid()} on {platform.node() or 'this machine'}", "utf-8")
    except OSError as error:
        raise _unwritable(folder, error) from error


def _remove(folder: Path, made: Sequence[Path]) -> None:
    """Remove the folders that were made, unless something lies there; a lock whose file is gone holds no name."""
    for name in (_HOLDER, _LOCK):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        for place in made:
            place.rmdir()
