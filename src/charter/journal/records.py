"""What a journal's records look like: their tables, how rows end, and the checksum that each carries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Status = Literal["done", "filtered", "failed"]

#: The tables of a journal and their columns; what a record holds stands before its checksum.
TABLES: Mapping[str, tuple[str, ...]] = {
    "completions": ("key", "payload", "checksum"),
    "rows": ("stage", "row", "status", "payload", "checksum"),
    "tallies": ("stage", "payload", "checksum"),
    "taken_tallies": ("source", "stage", "payload", "checksum"),
}

# Not WITHOUT ROWID: payloads are appended, and only the short keys go to random pages. Journals that have it work too.
SCHEMA = """
CREATE TABLE IF NOT EXISTS completions (
    key TEXT PRIMARY KEY NOT NULL, payload TEXT NOT NULL, checksum BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS rows (
    stage TEXT NOT NULL, row TEXT NOT NULL, status TEXT NOT NULL, payload TEXT NOT NULL, checksum BLOB NOT NULL,
    PRIMARY KEY (stage, row)
);
CREATE TABLE IF NOT EXISTS tallies (stage TEXT PRIMARY KEY NOT NULL, payload TEXT NOT NULL, checksum BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS taken_tallies (
    source TEXT NOT NULL, stage TEXT NOT NULL, payload TEXT NOT NULL, checksum BLOB NOT NULL,
    PRIMARY KEY (source, stage)
);
"""

#: The reason under which a forgotten row waits in the journal: it is to be done as if it had never been.
FORGOTTEN = "to be done again"


@dataclass(frozen=True)
class Outcome:
    """The terminal record of one row in one stage: ``payload`` is the result's JSON, or the reason."""

    status: Status
    payload: str


def decode(data: bytes) -> str:
    """Read a text of the journal; damaged bytes need not be UTF-8, and are read all the same to fail their checksum."""
    return data.decode("utf-8", "replace")


def is_status(text: object) -> bool:
    """Tell whether this is how a row can end; a record that says anything else counts as damaged."""
    return text in get_args(Status)


def is_whole(kept: bytes, *parts: str) -> bool:
    """Tell whether a record of these texts carries the checksum that it was written with."""
    # A damaged record may have lost its column's type too.
    return all(isinstance(part, str) for part in parts) and kept == checksum_of(*parts)


def checksum_of(*parts: str) -> bytes:
    """Give the checksum that a record of these texts is written with."""
    hasher = hashlib.blake2b(digest_size=12)
    for part in parts:
        data = part.encode("utf-8")
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.digest()
