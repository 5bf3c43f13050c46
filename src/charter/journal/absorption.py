"""Another journal of the same run, written by a shard or a worker, taken into the run's own."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from charter.journal.reading import reading_at_once
from charter.journal.records import FORGOTTEN, checksum_of, decode, is_whole
from charter.journal.store import Journal

# What is whole here is never replaced, but for a row that has failed here. Damaged bytes need not be text, and SQLite
# would give no function a text that is none: it is given the bytes.
_TAKE_COMPLETION = """
INSERT INTO completions (key, payload, checksum) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE
SET payload = excluded.payload, checksum = excluded.checksum
WHERE NOT is_whole(completions.checksum, CAST(completions.key AS BLOB), CAST(completions.payload AS BLOB))
"""
_TAKE_ROW = """
INSERT INTO rows (stage, row, status, payload, checksum) VALUES (?, ?, ?, ?, ?) ON CONFLICT (stage, row) DO UPDATE
SET status = excluded.status, payload = excluded.payload, checksum = excluded.checksum
WHERE NOT is_whole(
        rows.checksum, CAST(rows.stage AS BLOB), CAST(rows.row AS BLOB), CAST(rows.status AS BLOB),
        CAST(rows.payload AS BLOB)
    )
    OR rows.status NOT IN ('done', 'filtered', 'failed')
    OR rows.status = 'failed' AND (excluded.status != 'failed' OR excluded.payload != rows.payload)
"""
_TAKE_TALLY = "INSERT OR REPLACE INTO taken_tallies (source, stage, payload, checksum) VALUES (?, ?, ?, ?)"


@dataclass(frozen=True)
class Absorbed:
    """What was taken in and had not been there: completions and ends of rows; and how many records were damaged."""

    n_completions: int = 0
    n_rows: int = 0
    n_damaged: int = 0


def absorb(
    journal: Journal, other: Path, *, source: str | None = None, stages: Collection[str] | None = None
) -> Absorbed:
    """Take what another journal holds into this one, in one transaction: all of it, or nothing where this is killed.

    The other journal is read without the right to write, and may have been left by a process that was killed. Records
    are held to their checksums, and damaged ones left out; so are rows that were forgotten there. What is whole here
    stays as it is, but for a row that failed: its end elsewhere takes its place. So to take the same journal in once
    more changes nothing. Whether two journals contradict each other is for the caller to check: what came first stays.

    Args:
        journal: what takes in.
        other: the file of the other; nobody may write it meanwhile.
        source: a name for the other, under which what its stages took is kept beside what they took here
            (``Journal.taken_tallies``), in place of what was kept under that name before; None leaves it out.
        stages: whose rows are taken in; None takes all.

    Raises:
        JournalError: where there is no other, it cannot be read or is written meanwhile, or this one cannot be written.
    """
    n_completions = n_rows = 0
    with journal.writing() as own, reading_at_once(other) as reader:
        own.create_function("is_whole", -1, _is_whole)
        for some in reader.batches("completions", ("key", "payload")):
            n_completions += _take(own, _TAKE_COMPLETION, some)
        for some in reader.batches("rows", ("stage", "row", "status", "payload")):
            n_rows += _take(own, _TAKE_ROW, [row for row in some if row[-1] != FORGOTTEN and _is_of(stages, row[0])])
        if source is not None:
            for some in reader.batches("tallies", ("stage", "payload")):
                _take(own, _TAKE_TALLY, [(source, *tally) for tally in some])
    return Absorbed(n_completions, n_rows, reader.n_damaged)


def _is_whole(kept: bytes, *parts: bytes | None) -> bool:
    return None not in parts and is_whole(kept, *(decode(part) for part in parts if part is not None))


def _is_of(stages: Collection[str] | None, recorded: str) -> bool:
    """Tell whether rows recorded under this name, a stage's or a part's of one, are of these stages."""
    return stages is None or recorded.partition("/")[0] in stages


def _take(own: sqlite3.Connection, statement: str, records: Sequence[tuple[str, ...]]) -> int:
    """Put records with their checksums, and say how many changed what is there."""
    checked = [(*parts, checksum_of(*parts)) for parts in records]
    return own.executemany(statement, checked).rowcount if checked else 0
