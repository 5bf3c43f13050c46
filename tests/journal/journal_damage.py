"""Damage to the index of a journal's file, of which SQLite itself knows nothing."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

INDEX = "sqlite_autoindex_rows_1"
_LEAF = 0x0A  # a page of an index that has no pages below it (https://sqlite.org/fileformat.html, 1.6)


def index_page(path: Path) -> range:
    """Say where in the file the index of a few rows stands, which is one page."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (INDEX,)).fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    found = range((page - 1) * size, page * size)
    assert path.read_bytes()[found.start] == _LEAF
    return found


def hide(path: Path, n: int = 1) -> None:
    """Let the index of a journal's rows lack its last ``n`` entries; the records themselves stay."""
    start = index_page(path).start
    data = bytearray(path.read_bytes())
    there = int.from_bytes(data[start + 3 : start + 5], "big")
    data[start + 3 : start + 5] = (there - n).to_bytes(2, "big")
    path.write_bytes(data)
    with contextlib.closing(sqlite3.connect(path)) as database:
        seen = database.execute(f"SELECT stage FROM rows INDEXED BY {INDEX}").fetchall()  # noqa: S608 - ours
    assert len(seen) == there - n


def disorder(path: Path) -> None:
    """Turn the order of the index round: each entry is there, and none is found where it is looked for."""
    start = index_page(path).start
    data = bytearray(path.read_bytes())
    n = int.from_bytes(data[start + 3 : start + 5], "big")
    places = [data[at : at + 2] for at in range(start + 8, start + 8 + 2 * n, 2)]  # after the page's header of 8 bytes
    data[start + 8 : start + 8 + 2 * n] = b"".join(reversed(places))
    path.write_bytes(data)
