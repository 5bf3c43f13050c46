"""A run's journal as it is on the disk: read without the right to write, without a trace, during a run too."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from charter.errors import JournalError
from charter.store import Outcome, decode, is_whole

_NOT_READABLE = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})


@dataclass(frozen=True)
class Recorded:
    """What a journal held, but for damaged records: how every row ended, by stage, and what each stage took so far."""

    outcomes: Mapping[str, Mapping[str, Outcome]]
    tallies: Mapping[str, str]
    n_damaged: int


def read_journal(path: Path) -> Recorded:
    """Read how every row of a run ended.

    Args:
        path: the journal; one that is not there holds nothing.

    Raises:
        JournalError: where it is damaged, or must not be read.
    """
    if not path.exists():
        return Recorded({}, {}, 0)
    before = _at_rest(path)
    if before is not None:
        # SQLite makes files beside a journal that it opens, which cannot be where the disk is read-only. It makes none
        # of a file that is said not to change; where it has changed afterwards, what was read is worth nothing.
        with contextlib.suppress(_Changed):
            return _read(path, "immutable=1", at_rest=before)
    return _read(path, "mode=ro")


class RecordedAnswers:
    """The completions that a run's journal holds, by key, read without the right to write. A context that closes it.

    Args:
        path: the journal.

    Raises:
        JournalError: where there is none, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise JournalError(f"{path}: no such journal; name the folder of a run, whose answers can be taken over")
        self.path = path
        self._lock = threading.Lock()
        self._database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, check_same_thread=False)
        self._database.text_factory = decode
        self.get("")  # so that a file that is none is told at once

    def __enter__(self) -> Self:
        """Use it as a context that closes the file."""
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def get(self, key: str) -> str | None:
        """Recall a payload by its key; None where there is none, or a damaged one."""
        try:
            with self._lock:
                found = self._database.execute(
                    "SELECT payload, checksum FROM completions WHERE key = ?", (key,)
                ).fetchone()
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from error
        return found[0] if found is not None and is_whole(found[1], key, found[0]) else None


class _Changed(Exception):  # noqa: N818 - reads as what happened
    """A journal that was at rest has been written while it was read."""


def _at_rest(path: Path) -> tuple[int, int] | None:
    """Give size and time of a journal into which nobody is writing, None of one that may be half in its log."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        return None
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _read(path: Path, how: str, *, at_rest: tuple[int, int] | None = None) -> Recorded:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True)) as database:
            database.text_factory = decode
            found = _contents(database)
    except sqlite3.Error as error:
        if at_rest is not None and _at_rest(path) != at_rest:
            raise _Changed from error
        raise _unreadable(path, error) from error
    if at_rest is not None and _at_rest(path) != at_rest:
        raise _Changed
    return found


def _contents(database: sqlite3.Connection) -> Recorded:
    # A run that has only just begun has no tables yet, and tallies came later than the others.
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    outcomes: dict[str, dict[str, Outcome]] = {}
    n_damaged = 0
    if "rows" in tables:
        for stage, row, status, payload, kept in database.execute("SELECT * FROM rows"):
            if is_whole(kept, stage, row, status, payload):
                outcomes.setdefault(stage, {})[row] = Outcome(status, payload)
            else:
                n_damaged += 1
    found: Iterator[tuple[Any, ...]] = database.execute("SELECT * FROM tallies") if "tallies" in tables else iter(())
    tallies = {stage: payload for stage, payload, kept in found if is_whole(kept, stage, payload)}
    return Recorded(dict(sorted(outcomes.items())), tallies, n_damaged)


def _unreadable(path: Path, error: sqlite3.Error) -> JournalError:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_READABLE:
        remedy = "It must be readable, and so must what lies beside it under its name; or look at a copy of the folder."
    else:
        remedy = "It is damaged: restore the file. The run's data, models and report do not depend on it."
    return JournalError(f"{path}: the journal cannot be read ({error}). {remedy}")
