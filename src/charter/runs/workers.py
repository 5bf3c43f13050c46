"""The journals of those who do a run's rows elsewhere: one file each, held while it is written, taken in afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import filelock

from charter.errors import Busy, JournalError
from charter.journal.absorption import absorb
from charter.journal.records import Outcome
from charter.journal.store import Journal
from charter.runs.place import WORKERS
from charter.runs.spent import tallies_of
from charter.runs.tally import Tally

# A worker whose run was killed is told by Ray, and ends; NFS keeps the locks of a machine that lost power for 90 s.
_SECONDS_TO_END = 120.0


@contextlib.contextmanager
def worker_journal(path: Path) -> Iterator[Journal]:
    """Open the journal of a worker and hold it: nobody takes it in before this context ends, or its process does."""
    with filelock.FileLock(_lock_of(path), timeout=0), Journal(path) as journal:
        yield journal


@dataclass(frozen=True)
class Settled:
    """What the journal of a worker came to that writes it no more: how rows ended, and what it took."""

    ends: Mapping[str, Outcome] = field(default_factory=dict)
    took: Tally = field(default_factory=Tally)


def settle_worker(
    path: Path, *, seconds: float = _SECONDS_TO_END, stage: str = "", rows: Sequence[str] = ()
) -> Settled:
    """Wait until nobody writes a worker's journal, and make it whole: what a killed process left in its log is in it.

    Args:
        path: the journal.
        seconds: how long it is waited for.
        stage: of which, and
        rows: of which it is told how they ended there.

    Raises:
        Busy: where somebody still holds it after so many seconds.
        JournalError: where it cannot be read or written.
    """
    try:
        with filelock.FileLock(_lock_of(path), timeout=seconds), _with_remedy(path), Journal(path) as journal:
            took = sum(map(Tally.from_json, tallies_of(journal)), Tally())
            return Settled(journal.outcomes_of(stage, rows), took)
    except filelock.Timeout as error:
        raise Busy(
            f"{path}: a worker of this run still writes it after {seconds:.0f} s, though its run has ended. End that "
            "process, or wait for it, and run the same command again"
        ) from error


def take_in_worker(journal: Journal, path: Path, *, seconds: float = _SECONDS_TO_END) -> Tally:
    """Take a worker's journal into its run's, once nobody writes it, and say what it took; its file is removed then.

    What it took stands in the run's by the journal's name, in place of what its driver kept there as it was told.

    Raises:
        Busy: where somebody still holds it after so many seconds.
        JournalError: where one of the two cannot be read or written.
    """
    settled = settle_worker(path, seconds=seconds)
    with _with_remedy(path):
        absorb(journal, path, source=path.stem)
    _remove(path)
    return settled.took


@contextlib.contextmanager
def _with_remedy(path: Path) -> Iterator[None]:
    try:
        yield
    except JournalError as error:
        raise JournalError(
            f"{error} {path} is the journal of a worker: where that one is damaged, remove it and run the same command "
            "again; what it alone held is done anew"
        ) from error


def take_in_workers(journal: Journal, folder: Path, *, seconds: float = _SECONDS_TO_END) -> int:
    """Take what workers of a run left behind into its journal, and say of how many; their files are removed then.

    Raises:
        Busy: where one is still at work.
        JournalError: where a journal cannot be read or written.
    """
    left = sorted((folder / WORKERS).glob("*.sqlite"))
    for path in left:
        take_in_worker(journal, path, seconds=seconds)
    return len(left)


def _remove(path: Path) -> None:
    """Remove a journal, with what lies beside it."""
    for beside in ("", "-wal", "-shm"):
        path.with_name(f"{path.name}{beside}").unlink(missing_ok=True)
    _lock_of(path).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others are still in it
        path.parent.rmdir()


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")
