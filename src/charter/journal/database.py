"""A journal's file as SQLite sees it: opened to be written, known by its mark, and what is said where it fails."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

from charter.errors import JournalError
from charter.journal.records import SCHEMA, TABLES, decode

_REFUSED = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_FULL})
_MARKS = 2**31 - 1
_KIB_HELD = 65_536  # in memory: the keys of 800,000 answers, which come to random places among the others


def mark_of(database: sqlite3.Connection) -> int:
    """Read the number by which a journal is known from another one of its name; 0 where it has none yet."""
    found: tuple[int] = database.execute("PRAGMA user_version").fetchone()
    return found[0]


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open a journal's file, making it where it does not exist.

    Raises:
        JournalError: where it is no journal, or cannot be opened.
    """
    database: sqlite3.Connection | None = None
    try:
        database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        database.text_factory = decode
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute(f"PRAGMA cache_size={-_KIB_HELD}")
        database.executescript(SCHEMA)
        if not mark_of(database):
            database.execute(f"PRAGMA user_version = {1 + secrets.randbelow(_MARKS)}")
    except sqlite3.Error as error:
        if database is not None:
            database.close()
        # The lower byte of an extended code is the plain one.
        refused = getattr(error, "sqlite_errorcode", 0) & 0xFF in _REFUSED
        raise (unwritable if refused else damaged)(path, error) from error
    return database


def tables_of(database: sqlite3.Connection) -> set[str]:
    """Name the tables of a journal: one that has only just begun has none yet, and some came later than the others.

    Raises:
        sqlite3.DatabaseError: where one is not the plain table that a journal has, or there are views or triggers.
    """
    found = set()
    for kind, name, statement in database.execute("SELECT type, name, sql FROM sqlite_master"):
        if kind in {"view", "trigger"}:
            raise sqlite3.DatabaseError(f"it holds the {kind} {name!r}, as no journal does")
        if kind == "table" and name in TABLES:
            # A table that computes what it holds could do anything with whoever reads it.
            is_plain = "".join(str(statement).split()).lower().startswith(f"createtable{name}(")
            if not is_plain or _columns(database, name) != [(column, 0) for column in TABLES[name]]:
                raise sqlite3.DatabaseError(f"its table {name!r} is not that of a journal")
            found.add(name)
    return found


def _columns(database: sqlite3.Connection, table: str) -> list[tuple[str, int]]:
    """Name a table's columns, each with a number that is 0 where what it holds is written down and not computed."""
    return [(name, hidden) for _, name, *_, hidden in database.execute(f"PRAGMA table_xinfo({table})")]


def damaged(path: Path, error: sqlite3.Error) -> JournalError:
    """Say that a journal cannot be read."""
    return JournalError(
        f"{path}: the journal cannot be read ({error}); it is damaged. Restore the file, or start a "
        "new run folder (--out)."
    )


def unwritable(path: Path, error: sqlite3.Error) -> JournalError:
    """Say that a journal cannot be written."""
    return JournalError(
        f"{path}: the journal cannot be written ({error}). Check free space and permissions, then run the same "
        "command again: everything recorded so far is kept."
    )
