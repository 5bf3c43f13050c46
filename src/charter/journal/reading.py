"""A run's journal as it is on the disk: read without the right to write, without a trace, during a run too."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

from charter.errors import JournalError
from charter.journal.database import tables_of
from charter.journal.records import Outcome, Status, decode, is_status, is_whole

_NOT_READABLE = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_BATCH = 1000
_MOST_BYTES = 100_000_000  # of one record
FoundT = TypeVar("FoundT")


@dataclass(frozen=True)
class Recorded:
    """What a journal held, but for damaged records: how every row ended, by stage, and what each stage took so far."""

    outcomes: Mapping[str, Mapping[str, Outcome]]
    tallies: Mapping[str, str]
    n_damaged: int


@dataclass(frozen=True)
class Counted:
    """How many rows a journal held, but for damaged records: by stage, and by their end and its reason.

    Rows that are done have no reason. ``tallies`` say what each stage took so far, ``taken`` what it took elsewhere.
    """

    ends: Mapping[str, Counter[tuple[Status, str]]]
    tallies: Mapping[str, str]
    n_damaged: int
    taken: Mapping[str, Sequence[str]] = field(default_factory=dict)


def read_journal(path: Path) -> Recorded:
    """Read how every row of a run ended.

    Args:
        path: the journal; one that is not there holds nothing.

    Raises:
        JournalError: where it is damaged, or must not be read.
    """
    return _whole(path, _contents) if path.exists() else Recorded({}, {}, 0)


def count_journal(path: Path) -> Counted:
    """Count how the rows of a run ended; no more than some are held.

    Args:
        path: the journal; one that is not there holds nothing.

    Raises:
        JournalError: where it is damaged, or must not be read.
    """
    return _whole(path, _counts) if path.exists() else Counted({}, {}, 0)


def _whole(path: Path, read: Callable[[sqlite3.Connection], FoundT]) -> FoundT:
    before = _at_rest(path)
    if before is not None:
        # SQLite makes files beside a journal that it opens, which cannot be where the disk is read-only. It makes none
        # of a file that is said not to change; where it has changed afterwards, what was read is worth nothing.
        with contextlib.suppress(_Changed):
            return _read(path, read, "immutable=1", at_rest=before)
    return _read(path, read, "mode=ro")


class RecordedAnswers:
    """The completions that a run's journal holds, by key, read without the right to write. A context that closes it.

    Args:
        path: the journal.
        is_left_alone: whether nobody writes it for as long as this is open. No file is made beside it then, so that
            many machines can read it at once.
        is_held_still: whether its file stays as it is, whatever is written into its log meanwhile
            (``Journal.hold_still``); the log is not read then.

    Raises:
        JournalError: where there is none, or it cannot be read.
    """

    def __init__(self, path: Path, *, is_left_alone: bool = False, is_held_still: bool = False) -> None:
        if not path.is_file():
            raise JournalError(f"{path}: no such journal; name the folder of a run, whose answers can be taken over")
        self.path = path
        self._lock = threading.Lock()
        unchanging = is_held_still or (is_left_alone and _at_rest(path))
        try:
            self._database = connect(path, "immutable=1" if unchanging else "mode=ro")
            tables_of(self._database)
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error
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


class JournalReader:
    """All that a journal holds, as it is at one moment, but for damaged records. Use ``reading_at_once``.

    Attributes:
        n_damaged: how many damaged records were left out so far.
    """

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self._path = path
        self._database = database
        self.n_damaged = 0

    def batches(self, table: str, columns: Sequence[str]) -> Iterator[list[tuple[str, ...]]]:
        """Give these columns of a table's records, some at a time; of a table that is not there yet, nothing.

        Raises:
            JournalError: where they cannot be read.
        """
        try:
            if table in tables_of(self._database):
                wanted = ", ".join(("checksum", *columns))
                status = columns.index("status") if "status" in columns else None
                cursor = self._database.execute(f"SELECT {wanted} FROM {table}")  # noqa: S608 - names of ours
                while found := cursor.fetchmany(_BATCH):
                    known = (parts for parts in found if status is None or is_status(parts[1 + status]))
                    whole = [tuple(parts) for checksum, *parts in known if is_whole(checksum, *parts)]
                    self.n_damaged += len(found) - len(whole)
                    yield whole
        except sqlite3.Error as error:
            raise _unreadable(self._path, error) from error

    def select(self, query: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Ask for something of the rows as they stand there, checked by nobody; where there are none yet, nothing.

        Raises:
            JournalError: where they cannot be read.
        """
        try:
            if "rows" in tables_of(self._database):
                yield from self._database.execute(query, values)
        except sqlite3.Error as error:
            raise _unreadable(self._path, error) from error


@contextlib.contextmanager
def reading_at_once(path: Path) -> Iterator[JournalReader]:
    """Open a journal to read all of it as it is at this moment, without the right to write. A context that closes it.

    Raises:
        JournalError: where there is none, it cannot be opened, or was written while it was read.
    """
    if not path.is_file():
        raise JournalError(f"{path}: no such journal")
    before = _at_rest(path)
    try:
        database = connect_at_rest(path)
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error
    with contextlib.closing(database):
        database.execute("BEGIN")  # every query sees the same
        yield JournalReader(path, database)
    if before is not None and _at_rest(path) != before:
        raise JournalError(f"{path}: was written while it was read; run the same command again")


class _Changed(Exception):  # noqa: N818 - reads as what happened
    """A journal that was at rest has been written while it was read."""


def _at_rest(path: Path) -> tuple[int, int] | None:
    """Give size and time of a journal into which nobody is writing, None of one that may be half in its log."""
    with contextlib.suppress(FileNotFoundError):  # whoever ends removes it
        if path.with_name(f"{path.name}-wal").stat().st_size:
            return None
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def _read(
    path: Path, read: Callable[[sqlite3.Connection], FoundT], how: str, *, at_rest: tuple[int, int] | None = None
) -> FoundT:
    try:
        with contextlib.closing(connect(path, how)) as database:
            found = read(database)
    except sqlite3.Error as error:
        if at_rest is not None and _at_rest(path) != at_rest:
            raise _Changed from error
        raise _unreadable(path, error) from error
    if at_rest is not None and _at_rest(path) != at_rest:
        raise _Changed
    return found


def connect_at_rest(path: Path) -> sqlite3.Connection:
    """Open a journal that nobody writes, without a trace: also where no file can be made beside it."""
    return connect(path, "mode=ro" if _at_rest(path) is None else "immutable=1")


def connect(path: Path, how: str) -> sqlite3.Connection:
    """Open a journal as a file from anywhere, in one of SQLite's ways (``mode=ro``)."""
    database = sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, check_same_thread=False)
    database.text_factory = decode
    # A journal may come from anybody: no code that is written into it runs, and no record is longer than ours are.
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA cell_size_check = ON")
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
    return database


def _contents(database: sqlite3.Connection) -> Recorded:
    outcomes: dict[str, dict[str, Outcome]] = {}
    n_damaged = 0
    for end in _ends(database):
        if end is None:
            n_damaged += 1
        else:
            stage, row, status, payload = end
            outcomes.setdefault(stage, {})[row] = Outcome(status, payload)
    return Recorded(dict(sorted(outcomes.items())), _tallies(database), n_damaged)


def _counts(database: sqlite3.Connection) -> Counted:
    counted: dict[str, Counter[tuple[Status, str]]] = {}
    n_damaged = 0
    for end in _ends(database):
        if end is None:
            n_damaged += 1
        else:
            stage, _, status, payload = end
            counted.setdefault(stage, Counter())[status, "" if status == "done" else payload] += 1
    return Counted(dict(sorted(counted.items())), _tallies(database), n_damaged, _taken(database))


def _ends(database: sqlite3.Connection) -> Iterator[tuple[str, str, Status, str] | None]:
    """Read stage, row, status and payload of every row, None in place of a damaged record."""
    if "rows" in tables_of(database):
        for *parts, kept in database.execute("SELECT * FROM rows"):
            stage, row, status, payload = parts
            yield (stage, row, status, payload) if is_status(status) and is_whole(kept, *parts) else None


def _tallies(database: sqlite3.Connection) -> dict[str, str]:
    found = database.execute("SELECT * FROM tallies") if "tallies" in tables_of(database) else ()
    return {stage: payload for stage, payload, kept in found if is_whole(kept, stage, payload)}


def _taken(database: sqlite3.Connection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    if "taken_tallies" in tables_of(database):
        for source, stage, payload, kept in database.execute("SELECT * FROM taken_tallies"):
            if is_whole(kept, source, stage, payload):
                found.setdefault(stage, []).append(payload)
    return found


def _unreadable(path: Path, error: sqlite3.Error) -> JournalError:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_READABLE:
        remedy = "It must be readable, and so must what lies beside it under its name; or look at a copy of the folder."
    else:
        remedy = "It is damaged: restore the file. The run's data, models and report do not depend on it."
    return JournalError(f"{path}: the journal cannot be read ({error}). {remedy}")
