"""Rows that two journals both hold an end of, found with a sort on the disk and not in memory."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from charter.errors import JournalError
from charter.journal.counting import of_stages
from charter.journal.reading import JournalReader, reading_at_once

_Keys = Generator[tuple[str, str], None, None]
_KIB_HELD = 32_768  # in memory, of the rows and once more of their order; the rest is on the disk
_TWICE = """
SELECT stage, row, min(journal), max(journal) FROM ends GROUP BY stage, row HAVING min(journal) < max(journal) LIMIT 1
"""


@dataclass(frozen=True)
class Overlap:
    """A row of a stage that two journals have an end of."""

    stage: str
    row: str
    journals: tuple[Path, Path]


def find_overlap(journals: Sequence[Path], stages: Collection[str]) -> Overlap | None:
    """Find a row of stages of which several journals hold an end, if there is one; a damaged record is none.

    The records themselves are gone through, and not their index: damage there hides nothing. What they came to is read
    only where two are of one row, to see that both are whole.

    Raises:
        JournalError: where a journal cannot be read or is written meanwhile, or there is no room to sort the rows.
    """

    def noted(reader: JournalReader) -> _Keys:
        query = f"SELECT stage, row FROM rows NOT INDEXED WHERE {of_stages(stages)}"  # noqa: S608 - names of ours
        yield from reader.select(query, tuple(stages))

    def whole(reader: JournalReader) -> _Keys:
        for some in reader.batches("rows", ("stage", "row", "status", "payload")):
            yield from ((stage, row) for stage, row, *_ in some if stage.partition("/")[0] in stages)

    return _find(journals, noted) and _find(journals, whole)


def _find(journals: Sequence[Path], keys: Callable[[JournalReader], _Keys]) -> Overlap | None:
    try:
        with contextlib.closing(sqlite3.connect("", isolation_level=None)) as sorting:  # a file that nobody else sees
            sorting.execute("PRAGMA journal_mode=OFF")
            sorting.execute(f"PRAGMA cache_size={-_KIB_HELD}")
            sorting.execute("CREATE TABLE ends (stage, row, journal)")
            sorting.execute("BEGIN")
            for number, path in enumerate(journals):
                with reading_at_once(path) as reader, contextlib.closing(keys(reader)) as found:
                    ends = ((stage, row, number) for stage, row in found)
                    sorting.executemany("INSERT INTO ends VALUES (?, ?, ?)", ends)
            twice = sorting.execute(_TWICE).fetchone()
    except sqlite3.Error as error:
        raise JournalError(
            f"the rows of {len(journals)} journals cannot be sorted in the folder for temporary files, "
            f"{os.environ.get('TMPDIR', 'the system has one')} ({error}). Make room there, or name another with TMPDIR"
        ) from error
    return twice and Overlap(twice[0], twice[1], (journals[twice[2]], journals[twice[3]]))
