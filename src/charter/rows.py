"""One function maps rows: it owns resume, journaling, failures, progress and limits.

The method's code is plain async functions on one row. ``map_rows`` runs them by the hundred at once, each going on as
soon as its own last call is back. Scaling out swaps this one function, not the method.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from charter.errors import BudgetSpent, EngineError, Interrupted, TooManyFailures
from charter.event_loop import run_to_end
from charter.garbage import old_set_aside
from charter.journal.records import Outcome
from charter.journal.results import RecordedResults, read_result
from charter.journal.store import Journal
from charter.progress import NoProgress, Progress
from charter.records import Record

_POLL_SECONDS = 0.05
_FEW_FAILURES = 5  # a stage of ten rows may lose some before a share means anything, but never all of them
_ALIKE_IN_A_ROW = 20  # whatever share may fail: so many for one reason, with no row done in between, is no bad luck
_ITS_OWN = re.compile(r"\b(?=\w*\d)\w+")  # words with a digit: numbers, ids, times


class Identified(Protocol):
    """A row: anything with an id."""

    @property
    def id(self) -> str:
        """What the journal calls the row."""
        ...


RowT = TypeVar("RowT", bound=Identified)
ResultT = TypeVar("ResultT", bound=Record)


@dataclass(frozen=True)
class Filtered:
    """What a row function returns for a row that is left out on purpose, and counted."""

    reason: str


@dataclass(frozen=True)
class Mapped(Generic[ResultT]):
    """What became of every row: results in the order of the rows, and the reasons of the others by row id.

    Results that are recorded in a journal are read from there as they are asked for.
    """

    done: Sequence[ResultT]
    filtered: dict[str, str]
    failed: dict[str, str]
    n_resumed: int = 0

    @property
    def n_in(self) -> int:
        """How many rows went in: done, filtered and failed together."""
        return len(self.done) + len(self.filtered) + len(self.failed)

    @property
    def reasons(self) -> dict[str, dict[str, int]]:
        """Count the filtered and the failed rows by reason."""
        return {
            "filtered": dict(sorted(Counter(self.filtered.values()).items())),
            "failed": dict(sorted(Counter(self.failed.values()).items())),
        }


class RowMapper(Protocol):
    """The shape that a stage needs: ``map_rows`` with its journal, progress and limits already bound."""

    def __call__(
        self,
        fn: Callable[[RowT], Awaitable[ResultT | Filtered]],
        rows: Sequence[RowT],
        stage: str,
        *,
        result: type[ResultT],
        n_whole: int | None = None,
    ) -> Mapped[ResultT]:
        """Map the rows, which may be a part of ``n_whole``."""
        ...


@dataclass
class _Work(Generic[RowT, ResultT]):
    """The rows of one call that still have to be done, and what has come of them."""

    fn: Callable[[RowT], Awaitable[ResultT | Filtered]]
    waiting: list[RowT]
    stage: str
    result: type[ResultT]
    journal: Journal | None
    progress: Progress
    stop: threading.Event | None
    max_failed: int
    n_rows: int
    done: set[str] = field(default_factory=set)
    results: dict[str, ResultT] = field(default_factory=dict)  # where no journal keeps them
    filtered: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    n_alike: int = 0
    last_reason: str = ""

    def mapped(self, ids: Sequence[str], n_resumed: int) -> Mapped[ResultT]:
        """Put what has come of the rows into their order."""
        done = tuple(row for row in ids if row in self.done)
        return Mapped(
            done=RecordedResults(self.journal, self.stage, done, self.result)
            if self.journal
            else tuple(self.results[row] for row in done),
            filtered={row: self.filtered[row] for row in ids if row in self.filtered},
            failed={row: self.failed[row] for row in ids if row in self.failed},
            n_resumed=n_resumed,
        )


def map_rows(
    fn: Callable[[RowT], Awaitable[ResultT | Filtered]],
    rows: Sequence[RowT],
    stage: str,
    *,
    result: type[ResultT],
    journal: Journal | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    n_in_flight: int | Callable[[], int] = 256,
    max_failed_share: float = 0.1,
    n_whole: int | None = None,
) -> Mapped[ResultT]:
    """Run ``fn`` on every row, many at once, recording each row's end.

    Args:
        fn: the row function; returns a record, or ``Filtered`` with a reason.
        rows: the rows, with distinct ids.
        stage: the name under which ends are recorded; a row recorded there as done or filtered is not run again, a
            failed one is.
        result: the type of record that ``fn`` returns, to read recorded ones back.
        journal: where ends are recorded; None keeps nothing.
        progress: where progress is shown.
        stop: when set, the stage stops and raises ``Interrupted``.
        n_in_flight: how many rows run at once, one at least; or what tells so when the stage begins.
        max_failed_share: the share of rows that may fail; five always may, but never all of the rows.
        n_whole: how many rows there are in all, where these are a part of them, which may be few and fail all.

    Raises:
        ValueError: for two rows with one id, or no row in flight.
        TooManyFailures: when more than the allowed share failed, or 20 rows in a row for the same reason.
        JournalError: where a recorded result is not a ``result``.
        BudgetSpent: where a call to a server was one too many; rows under way came as far as they could without one.
        Interrupted: when ``stop`` was set. What was recorded is kept.
    """
    n_at_once = n_in_flight if isinstance(n_in_flight, int) else n_in_flight()
    if n_at_once < 1:
        raise ValueError(f"n_in_flight is {n_at_once}; at least one row must run")
    ids = _distinct_ids(rows, stage)
    max_failed = allowed_failures(len(rows), max_failed_share, n_whole)
    work = _Work(fn, list(rows), stage, result, journal, progress or NoProgress(), stop, max_failed, len(rows))
    n_resumed = _resume(work)
    work.progress.begin(stage, len(ids), n_resumed)
    try:
        if work.waiting:
            with old_set_aside():
                run_to_end(_run(work, n_at_once))
    finally:
        if journal:
            journal.flush()
        work.progress.end(stage)
    return work.mapped(ids, n_resumed)


def allowed_failures(n_rows: int, share: float = 0.1, n_whole: int | None = None) -> int:
    """Say how many of a stage's rows, or of a part of ``n_whole``, may fail (see ``map_rows``)."""
    return min(max(_FEW_FAILURES, int(share * n_rows)), (n_rows if n_whole is None else n_whole) - 1)


def _distinct_ids(rows: Sequence[RowT], stage: str) -> list[str]:
    ids = [row.id for row in rows]
    if len(set(ids)) != len(ids):
        twice = Counter(ids).most_common(1)[0][0]
        raise ValueError(f"stage {stage}: the row id {twice!r} occurs twice; ids must be distinct")
    return ids


def _resume(work: _Work[RowT, ResultT]) -> int:
    """Take over what is recorded of the waiting rows, all but the failed, and say how many rows that was."""
    if not work.journal:
        return 0
    waiting = {row.id for row in work.waiting}
    for row, end in work.journal.walk(work.stage):
        if row in waiting and end.status == "done":
            read_result(work.stage, row, end, work.result)  # now: at the end of the stage is too late to find fault
            work.done.add(row)
        elif row in waiting and end.status == "filtered":
            work.filtered[row] = end.payload
    work.waiting = [row for row in work.waiting if row.id not in work.done and row.id not in work.filtered]
    return len(waiting) - len(work.waiting)


async def _run(work: _Work[RowT, ResultT], n_in_flight: int) -> None:
    """Keep ``n_in_flight`` rows going until none waits; cancel what runs on the first error or on stop.

    Where the budget is spent no row is begun any more, and those that run go on: their calls under way are paid for.
    """
    waiting = iter(work.waiting)
    running: set[asyncio.Task[None]] = set()
    spent: BudgetSpent | None = None
    try:
        while True:
            _check_stop(work)
            while spent is None and len(running) < n_in_flight and (row := next(waiting, None)) is not None:
                running.add(asyncio.create_task(_one(work, row)))
            if not running:
                break
            finished, _ = await asyncio.wait(running, timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for task in finished:
                try:
                    task.result()
                except BudgetSpent as error:
                    spent = error  # the last one knows best what was spent
            running -= finished
            if work.journal:
                work.journal.flush_if_due()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    if spent is not None:
        n_ended = len(work.done) + len(work.filtered) + len(work.failed)
        raise BudgetSpent(f"{spent} {work.stage}: {n_ended} of {work.n_rows} rows have ended.") from spent


def _check_stop(work: _Work[RowT, ResultT]) -> None:
    if work.stop is not None and work.stop.is_set():
        raise Interrupted(f"stopped during {work.stage}; run the same command again to continue")


async def _one(work: _Work[RowT, ResultT], row: RowT) -> None:
    try:
        value = await work.fn(row)
    except EngineError as error:
        _record_failure(work, row.id, str(error))
        return
    work.n_alike = 0
    if isinstance(value, Filtered):
        work.filtered[row.id] = _storable(value.reason)
        _record(work, row.id, Outcome("filtered", work.filtered[row.id]))
    else:
        work.done.add(row.id)
        if work.journal:
            work.journal.record(work.stage, row.id, Outcome("done", value.to_json()))
        else:
            work.results[row.id] = value
    work.progress.advance(work.stage)


def _record(work: _Work[RowT, ResultT], row: str, end: Outcome) -> None:
    if work.journal:
        work.journal.record(work.stage, row, end)


def _record_failure(work: _Work[RowT, ResultT], row: str, reason: str) -> None:
    work.failed[row] = _storable(reason)
    _record(work, row, Outcome("failed", work.failed[row]))
    work.progress.advance(work.stage, f"{len(work.failed)} failed")
    if len(work.failed) > work.max_failed:
        raise TooManyFailures(
            f"{work.stage}: {len(work.failed)} rows failed, more than the {work.max_failed} allowed. The last: "
            f"{row}: {reason}. Mend the cause and run the same command again; done rows are kept."
        )
    _check_alike(work, row, reason)


def _check_alike(work: _Work[RowT, ResultT], row: str, reason: str) -> None:
    """Stop where row after row fails for one reason: the next would too."""
    alike = _ITS_OWN.sub("", reason)
    work.n_alike = work.n_alike + 1 if alike == work.last_reason else 1
    work.last_reason = alike
    if work.n_alike >= _ALIKE_IN_A_ROW:
        raise TooManyFailures(
            f"{work.stage}: {work.n_alike} rows in a row failed with the same error. The last: {row}: {reason}. Mend "
            "the cause and run the same command again; done rows are kept."
        )


def _storable(reason: str) -> str:
    """Write half surrogate pairs, which an error may quote from a server's bytes, as escapes: no file can hold them."""
    return reason.encode("utf-8", "backslashreplace").decode("utf-8")
