"""The run's journal: one SQLite file that remembers completions, the fate of every row, and what each stage took.

Each payload carries a checksum that is verified on reading; a damaged record counts as missing, so that only what it
held is done again. Writes are gathered and committed together (a commit costs about a millisecond); ``flush`` makes
all of them durable. Where a commit takes longer, as on a slow disk, they wait longer, so that a run does not spend its
time on writing. One process writes a journal at a time: the run folder's lock sees to that (``runs.folder``). Who only
looks at a run reads it through ``reading``.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from charter.errors import JournalError
from charter.journal.database import damaged, mark_of, open_to_write, unwritable
from charter.journal.reading import connect, connect_at_rest
from charter.journal.records import Outcome, checksum_of, is_status, is_whole

_ENDS = "row, status, payload, checksum FROM rows"
_ROWS_AT_ONCE = 500  # read
_MAX_PENDING = 2048
_MAX_PENDING_SECONDS = 0.1
_WAIT_PER_COMMIT = 20  # times as long as the last commit took, so that commits take a twentieth of the time ...
_MAX_WAIT_SECONDS = 1.0  # ... unless records would wait longer than this
_TRIES_TO_EMPTY = 3  # of 5 s each, SQLite's own patience
# Keys fall anywhere in their index: the more pages wait in the log, the more records share one that goes to the file.
_PAGES_IN_LOG = 8000
_MAX_REMEMBERED = 1_000_000  # keys, at about 100 bytes each


class Journal:
    """A run's completions and rows. Safe to use from several threads of one process.

    Args:
        path: the SQLite file; made where it does not exist.

    Raises:
        JournalError: where the file is not a journal or cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path = Path(path)
        self._lock = threading.Lock()
        self._completions: dict[str, str] = {}
        self._rows: dict[tuple[str, str], Outcome] = {}
        self._last_flush = time.monotonic()
        self._commit_seconds = 0.0
        self.n_damaged = 0
        self._is_closed = False
        # Of a journal that was empty it is known without a look what it does not hold: most of what a run asks for.
        self._since_new: set[int] | None = None
        self._db = open_to_write(path)
        self._place = path.absolute()
        self._mark = mark_of(self._db)
        self.move_on()
        if not self._all("SELECT key FROM completions LIMIT 1", ()):
            self._since_new = set()

    def __enter__(self) -> Self:
        """Use the journal as a context that closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: str) -> str | None:
        """Recall a completion's payload by its key, None where there is none (or a damaged one)."""
        with self._lock:
            pending = self._completions.get(key)
            if pending is not None:
                return pending
            if self._since_new is not None and _short(key) not in self._since_new:
                return None
            return self._payload("SELECT payload, checksum FROM completions WHERE key = ?", key)

    def put(self, key: str, payload: str) -> None:
        """Remember a completion's payload under its key."""
        with self._lock:
            self._completions[key] = payload
            if self._since_new is not None:
                self._since_new.add(_short(key))
                if len(self._since_new) > _MAX_REMEMBERED:
                    self._since_new = None
        self.flush_if_due()

    def record(self, stage: str, row: str, outcome: Outcome) -> None:
        """Record a row's end in a stage; a later record replaces an earlier one."""
        with self._lock:
            self._rows[stage, row] = outcome
        self.flush_if_due()

    def outcomes(self, stage: str) -> dict[str, Outcome]:
        """Read the terminal records of a stage, by row id, all at once."""
        return dict(self.walk(stage))

    def walk(self, stage: str) -> Iterator[tuple[str, Outcome]]:
        """Read the terminal records of a stage one after the other, in any order: no more than some are held.

        The records themselves are gone through, and not their index: damage there hides nothing.
        """
        query = f"SELECT {_ENDS} NOT INDEXED WHERE stage = ?"
        self.flush()
        try:
            with contextlib.closing(self._connect_to_read()) as database:
                cursor = database.execute(query, (stage,))
                while found := cursor.fetchmany(_ROWS_AT_ONCE):
                    yield from self._whole_ends(stage, found)
        except sqlite3.Error as error:
            raise damaged(self.path, error) from error

    def outcomes_of(self, stage: str, rows: Sequence[str]) -> dict[str, Outcome]:
        """Read the terminal records of some rows, by id, as far as the index finds them (see ``walk``) undamaged."""
        self.flush()
        found: dict[str, Outcome] = {}
        try:
            with self._reading() as database:
                for start in range(0, len(rows), _ROWS_AT_ONCE):
                    some = rows[start : start + _ROWS_AT_ONCE]
                    query = f"SELECT {_ENDS} WHERE stage = ? AND row IN ({', '.join('?' * len(some))})"
                    found |= self._whole_ends(stage, database.execute(query, (stage, *some)))
        except sqlite3.Error as error:
            raise damaged(self.path, error) from error
        return found

    def tally(self, stage: str) -> str | None:
        """Recall what a stage took so far, as it was last kept; None where there is nothing (or a damaged record)."""
        with self._lock:
            return self._payload("SELECT payload, checksum FROM tallies WHERE stage = ?", stage)

    def tallied(self) -> list[str]:
        """Name the stages of which it is kept what they took, here or elsewhere."""
        with self._lock:
            found = self._all("SELECT stage FROM tallies UNION SELECT stage FROM taken_tallies ORDER BY stage", ())
        return [stage for (stage,) in found]

    def keep_tally(self, stage: str, payload: str) -> None:
        """Keep what a stage took so far in place of what was kept before; durable at once."""
        with self._lock:
            try:
                self._db.execute(
                    "INSERT OR REPLACE INTO tallies VALUES (?, ?, ?)", (stage, payload, checksum_of(stage, payload))
                )
            except sqlite3.Error as error:
                raise unwritable(self.path, error) from error

    def keep_taken(self, stage: str, payloads: Mapping[str, str]) -> None:
        """Keep what a stage took elsewhere, by the name of where that is, in place of what was kept; durable at once.

        Whoever takes that in (``absorption``) puts what is kept there in its place.
        """
        kept = [(source, stage, text, checksum_of(source, stage, text)) for source, text in payloads.items()]
        with self._lock, self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO taken_tallies VALUES (?, ?, ?, ?)", kept)

    def taken_tallies(self, stage: str) -> dict[str, str]:
        """Recall what a stage took elsewhere, as it was taken in, by the name of where that was."""
        with self._lock:
            query = "SELECT source, payload, checksum FROM taken_tallies WHERE stage = ? ORDER BY source"
            found = self._all(query, (stage,))
        return {source: payload for source, payload, checksum in found if self._whole(checksum, source, stage, payload)}

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Write to the tables themselves (see ``absorption``): all of it at the context's end, or nothing.

        Raises:
            JournalError: where the journal cannot be written.
        """
        self._since_new = None
        self.flush()
        with self._lock, self._transaction():
            yield self._db

    def hold_still(self) -> None:
        """Write all of it into the journal's file, which stays as it is until ``move_on``: what comes goes to its log.

        So others can read what is in it now, from any machine (``RecordedAnswers``).

        Raises:
            JournalError: where somebody keeps reading the log, or the journal cannot be written.
        """
        self.flush()
        with self._lock:
            try:
                for _ in range(_TRIES_TO_EMPTY):
                    is_busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                    if not is_busy:
                        self._db.execute("PRAGMA wal_autocheckpoint=0")
                        return
            except sqlite3.Error as error:
                raise unwritable(self.path, error) from error
        raise JournalError(f"{self.path}: another process keeps reading it; end that, and run the same command again")

    def move_on(self) -> None:
        """Let the file change again."""
        with self._lock:
            self._db.execute(f"PRAGMA wal_autocheckpoint={_PAGES_IN_LOG}")

    def stages(self) -> tuple[str, ...]:
        """Name the stages that have records, sorted."""
        self.flush()
        with self._lock:
            return tuple(name for (name,) in self._all("SELECT DISTINCT stage FROM rows ORDER BY stage", ()))

    def flush(self) -> None:
        """Make everything that was put and recorded durable."""
        with self._lock:
            if self._completions or self._rows:
                began = time.monotonic()
                self._commit()
                self._commit_seconds = time.monotonic() - began
            self._last_flush = time.monotonic()

    def close(self) -> None:
        """Flush and close; closing twice is fine."""
        self.flush()
        with self._lock:
            self._db.close()
            self._is_closed = True

    def flush_if_due(self) -> None:
        """Flush where records have waited long enough, or are many."""
        n_pending = len(self._completions) + len(self._rows)
        wait = max(_MAX_PENDING_SECONDS, min(_WAIT_PER_COMMIT * self._commit_seconds, _MAX_WAIT_SECONDS))
        if n_pending >= _MAX_PENDING or time.monotonic() - self._last_flush > wait:
            self.flush()

    def _commit(self) -> None:
        # In the order of their keys, neighbours go to one page of the index.
        completions = [(key, text, checksum_of(key, text)) for key, text in sorted(self._completions.items())]
        rows = [
            (stage, row, end.status, end.payload, checksum_of(stage, row, end.status, end.payload))
            for (stage, row), end in self._rows.items()
        ]
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO completions VALUES (?, ?, ?)", completions)
            self._db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)", rows)
        self._completions.clear()
        self._rows.clear()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            # Also on Ctrl-C: what is pending stays pending, and the next flush must find no open transaction.
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise unwritable(self.path, error) from error
            raise

    def _roll_back(self) -> None:
        # A full disk may have rolled back already, and a closed database has nothing to roll back.
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")

    def _payload(self, query: str, key: str) -> str | None:
        found = self._all(query, (key,))
        return next((payload for payload, checksum in found if self._whole(checksum, key, payload)), None)

    def _all(self, query: str, values: tuple[str, ...]) -> list[tuple]:  # type: ignore[type-arg]
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise damaged(self.path, error) from error

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if self._is_closed:
            with contextlib.closing(self._connect_to_read()) as database:
                yield database
        else:
            with self._lock:
                yield self._db

    def _connect_to_read(self) -> sqlite3.Connection:
        """Open the file once more, beside its writer or once that is gone.

        Raises:
            JournalError: where it is another file by now, or none.
        """
        if self._place.is_file():
            database = connect_at_rest(self._place) if self._is_closed else connect(self._place, "mode=ro")
            if mark_of(database) == self._mark:
                return database
            database.close()
        raise JournalError(
            f"{self.path}: is no longer the journal that was written here, and what was recorded in it is gone; "
            "run the same command again, and keep results in a tuple where their journal does not stay"
        )

    def _whole_ends(self, stage: str, found: Iterable[tuple]) -> Iterator[tuple[str, Outcome]]:  # type: ignore[type-arg]
        for row, status, payload, checksum in found:
            if self._whole(checksum, stage, row, status, payload, is_known=is_status(status)):
                yield row, Outcome(status, payload)

    def _whole(self, kept: bytes, *parts: str, is_known: bool = True) -> bool:
        if is_known and is_whole(kept, *parts):
            return True
        self.n_damaged += 1
        return False


def _short(key: str) -> int:
    """Shorten a key to what a set holds cheaply; two that are alike cost a look in the file, no more."""
    return hash(key)
