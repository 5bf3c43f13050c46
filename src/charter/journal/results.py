"""Results of a stage that lie in the journal: read back as they are asked for, so that memory holds but a few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar, overload

from charter.errors import JournalError
from charter.journal.records import Outcome
from charter.journal.store import Journal
from charter.records import Record

_READ_AT_ONCE = 250

ResultT = TypeVar("ResultT", bound=Record)


class RecordedResults(Sequence[ResultT]):
    """Results of rows, in the rows' order; equal to any sequence of the same. ``tuple`` of it holds them all.

    Args:
        journal: in which they are recorded; where it is closed, its file is read as long as it is there.
        stage: under which name.
        rows: the ids of rows that are done.
        result: the type of record.

    Raises:
        JournalError: while it is read, where a result is damaged or is not a ``result``, or the journal is gone.
    """

    def __init__(self, journal: Journal, stage: str, rows: Sequence[str], result: type[ResultT]) -> None:
        self._journal = journal
        self._stage = stage
        self._rows = rows
        self._result = result

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> ResultT: ...

    @overload
    def __getitem__(self, index: slice) -> RecordedResults[ResultT]: ...

    def __getitem__(self, index: int | slice) -> ResultT | RecordedResults[ResultT]:
        """Read one result back, or name some of them."""
        if isinstance(index, slice):
            return RecordedResults(self._journal, self._stage, self._rows[index], self._result)
        return self._read([self._rows[index]])[0]

    def __iter__(self) -> Iterator[ResultT]:
        """Read one after the other."""
        for start in range(0, len(self._rows), _READ_AT_ONCE):
            yield from self._read(self._rows[start : start + _READ_AT_ONCE])

    def __eq__(self, other: object) -> bool:
        """Compare result by result."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return f"<{len(self)} results of {self._stage} in {self._journal.path}>"

    def _read(self, rows: Sequence[str]) -> list[ResultT]:
        ends = self._journal.outcomes_of(self._stage, rows)
        hidden = {row for row in rows if row not in ends}
        if hidden:  # from the index, where that is damaged
            ends |= {row: end for row, end in self._journal.walk(self._stage) if row in hidden}
        lost = next((row for row in rows if row not in ends or ends[row].status != "done"), None)
        if lost is not None:
            what = "has another end by now" if lost in ends else "is damaged"
            raise JournalError(
                f"{self._journal.path}: what was recorded of row {lost} of {self._stage} {what}; run the same command "
                "again, which does the row anew where it has to be"
            )
        return [read_result(self._stage, row, ends[row], self._result) for row in rows]


def read_result(stage: str, row: str, end: Outcome, result: type[ResultT]) -> ResultT:
    """Read what is recorded of a row that is done.

    Raises:
        JournalError: where it is not a ``result``.
    """
    try:
        return result.from_json(end.payload)
    except ValueError as error:  # pydantic's and the JSON reader's are both one
        raise JournalError(
            f"{stage}: what is recorded for row {row} is not a {result.__name__} ({error}); another version wrote it: "
            "start a new run folder (--out)"
        ) from error
