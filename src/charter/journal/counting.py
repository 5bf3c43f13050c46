"""Which stages a journal has rows of, and how many, told without a look at what the rows came to.

Records are counted as they stand there: whether one is damaged shows only where it is read (``reading``).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from charter.errors import JournalError
from charter.journal.reading import JournalReader
from charter.journal.records import FORGOTTEN

#: The stage of a record, which may be of a part of one.
_STAGE = "substr(stage, 1, instr(stage || '/', '/') - 1)"
_KEPT = "NOT (status = 'failed' AND payload = ?)"
_BY_INDEX = "INDEXED BY sqlite_autoindex_rows_1"  # the primary key's: some bytes a row, wherever its payload is
# The record is looked at: an index may be damaged in where it stands, and so mean another.
_FIRST_KEPT = f"""
SELECT 1 FROM rows NOT INDEXED WHERE rowid = (
    SELECT rowid FROM rows WHERE stage = ? AND {_KEPT} LIMIT 1
) AND stage = ?
"""  # noqa: S608 - ours
_MOST_PLACES = 20_000_000  # of records, at one byte each
_GAP = re.compile(rb"\0+")


class _NoWitness(Exception):  # noqa: N818 - reads as what happened
    """An index that does not say what the records say."""


def of_stages(names: Collection[str]) -> str:
    """Write the condition that a record is of one of so many stages, or of a part of one."""
    return f"{_STAGE} IN ({', '.join('?' * len(names))})"


def count_rows(reader: JournalReader, names: Collection[str]) -> int:
    """Count the rows that are recorded of stages, but for those that were forgotten.

    Raises:
        JournalError: where the journal cannot be read.
    """
    if not begun_stages(reader, names):
        return 0
    query = f"SELECT count(*) FROM rows NOT INDEXED WHERE {of_stages(names)} AND {_KEPT}"  # noqa: S608 - ours
    return sum(n for (n,) in reader.select(query, (*names, FORGOTTEN)))


def begun_stages(reader: JournalReader, names: Collection[str]) -> set[str]:
    """Name those of the stages of which rows are recorded that were not forgotten.

    It is seen by the index, of which the damage hides nothing: a record that it lacks is looked at, and where it says
    anything else than the records do, these are gone through.

    Raises:
        JournalError: where the journal cannot be read.
    """
    try:
        return _begun_by_index(reader, names)
    except (JournalError, _NoWitness):
        query = f"SELECT DISTINCT {_STAGE} FROM rows NOT INDEXED WHERE {of_stages(names)} AND {_KEPT}"  # noqa: S608 - ours
        return {stage for (stage,) in reader.select(query, (*names, FORGOTTEN))}


def _begun_by_index(reader: JournalReader, names: Collection[str]) -> set[str]:
    seen, gaps = _indexed(reader)
    wanted = [stage for stage in seen if stage.partition("/")[0] in names]
    found = {stage.partition("/")[0] for stage in wanted if any(reader.select(_FIRST_KEPT, (stage, FORGOTTEN, stage)))}
    if found != {stage.partition("/")[0] for stage in wanted}:
        raise _NoWitness  # all are forgotten, or those that are not stand where they are not looked for
    query = f"SELECT {_STAGE} FROM rows NOT INDEXED WHERE rowid BETWEEN ? AND ? AND {of_stages(names)} AND {_KEPT}"  # noqa: S608 - ours
    for first, last in gaps:
        found |= {stage for (stage,) in reader.select(query, (first, last, *names, FORGOTTEN))}
    return found


def _indexed(reader: JournalReader) -> tuple[set[str], list[tuple[int, int]]]:
    """Name what the index says rows are recorded under, and the places of the records, from and to, that it lacks."""
    n_places = next(reader.select("SELECT max(rowid) FROM rows NOT INDEXED"), (0,))[0] or 0
    if not 0 <= n_places <= _MOST_PLACES:
        raise _NoWitness
    known = bytearray(n_places + 1)
    known[0] = 1  # of no record
    seen: dict[str, int] = {}
    for stage, place in reader.select(f"SELECT stage, rowid FROM rows {_BY_INDEX}"):  # noqa: S608 - ours
        if not isinstance(stage, str) or not 0 < place <= n_places:
            raise _NoWitness
        known[place] = 1
        seen.setdefault(stage, place)
    for stage, place in seen.items():
        # A damaged name is one of its own, or that of other rows of the same stage.
        if list(reader.select("SELECT stage FROM rows NOT INDEXED WHERE rowid = ?", (place,))) != [(stage,)]:
            raise _NoWitness
    return set(seen), [(gap.start(), gap.end() - 1) for gap in _GAP.finditer(known)]
