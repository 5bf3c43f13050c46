"""What an actor is: engines, a journal of its own, and the rows that it is given. It knows nothing of Ray."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charter import errors
from charter.engines.base import Capability
from charter.engines.cache import BorrowingMemory, Readable
from charter.engines.pool import Counted, Pool
from charter.engines.spending import Budget, Price, Spending
from charter.engines.usage import Usage
from charter.errors import CharterError, EngineError, JournalError
from charter.journal.reading import RecordedAnswers
from charter.journal.records import Outcome
from charter.rows import Filtered, Identified
from charter.runs.workers import worker_journal
from charter.scale.stand_ins import EngineName, unpack

_FLUSH_SECONDS = 0.1
_TELL_SECONDS = 0.5  # between two counts of usage that go with rows; the last goes when an engine is closed


@dataclass(frozen=True)
class Orders:
    """What a worker is told at its start.

    Args:
        journal: the file of its own journal.
        whole: the run's journal, whose file is held still.
        others: journals of other runs.
        at_rest: journals of this run's workers that nobody writes any more.
        n_rows: rows under way at once, at most.
        n_models: models in memory at once, at most; None takes as many as fit.
        prices: of served models.
        budget: the worker's part of the run's.
    """

    journal: Path
    whole: Path
    others: tuple[Path, ...]
    at_rest: tuple[Path, ...]
    n_rows: int
    n_models: int | None = None
    prices: Mapping[str, Price] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True)
class Refused:
    """An error of ours, as it goes from one process to another."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: CharterError) -> Refused:
        """Write an error down."""
        return cls(type(error).__name__, str(error))

    @property
    def error(self) -> CharterError:
        """The error, to be raised."""
        made: CharterError = getattr(errors, self.kind, CharterError)(self.message)
        return made


@dataclass(frozen=True)
class Opened:
    """What an engine says of itself."""

    identity: str
    capabilities: frozenset[Capability]


@dataclass(frozen=True)
class Answer:
    """How a row ended; and, now and then, what each engine's requests came to so far."""

    end: Outcome
    usage: Mapping[int, Usage] | None = None


class Worker:
    """Does rows of one mapping after another, and records what models answer and how rows end.

    Errors of ours are given back as ``Refused``: Ray would wrap them.

    Args:
        orders: what it is told.

    Attributes:
        spending: what calls to servers came to, held to the worker's part of the budget.

    Raises:
        UserError: where a journal cannot be opened.
    """

    def __init__(self, orders: Orders) -> None:
        self._opened = contextlib.ExitStack()
        self._journal = self._opened.enter_context(worker_journal(orders.journal))
        self._answers = _Answers(self._opened.enter_context(RecordedAnswers(orders.whole, is_held_still=True)))
        for path in orders.others:
            self._answers.add(self._opened.enter_context(RecordedAnswers(path)))
        self.adopt(orders.at_rest)
        memory = BorrowingMemory(self._journal, [self._answers])
        self.spending = Spending(orders.prices, orders.budget)
        self._pool = Pool({}, memory, spending=self.spending, most=orders.n_models)
        self._places = asyncio.Semaphore(orders.n_rows)
        self._engines: dict[int, Counted] = {}
        self._work: _Work | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self._flushing: asyncio.Task[None] | None = None
        self._told = 0.0

    def adopt(self, journals: Sequence[Path]) -> None:
        """Look into these journals too for answers, as far as they can be read; nobody writes them any more."""
        for path in journals:
            with contextlib.suppress(JournalError):
                self._answers.add(self._opened.enter_context(RecordedAnswers(path, is_left_alone=True)))

    async def open(self, name: EngineName) -> Opened | Refused:
        """Open an engine, and say what it is."""
        try:
            engine = self._engine(name)
        except CharterError as error:
            return Refused.of(error)
        return Opened(engine.identity, engine.capabilities)

    async def begin(self, number: int, stage: str, packed: bytes) -> Refused | None:
        """Take on the work of a mapping: the row function, with the engines that it names."""
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._keep_flushing())
        try:
            self._work = _Work(number, stage, unpack(packed, self._engine))
        except CharterError as error:
            return Refused.of(error)
        return None

    async def do(self, number: int, row: Identified) -> Answer | Refused:
        """Do a row of the mapping that was begun under this number."""
        if self._work is None or self._work.number != number:
            return Refused.of(EngineError(f"row {row.id} came before its work"))
        task = asyncio.create_task(self._do(self._work, row))
        self._running.add(task)
        try:
            return await task
        except CharterError as error:
            return Refused.of(error)
        finally:
            self._running.discard(task)

    async def give_up(self) -> None:
        """Leave the rows that are under way."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def count(self, number: int) -> Usage:
        """Say what an engine's requests came to; all that was recorded is durable then."""
        self._journal.flush()
        return self._engines[number].usage if number in self._engines else Usage()

    async def close(self, number: int) -> None:
        """Close an engine."""
        engine = self._engines.pop(number, None)
        if engine is not None:
            self._pool.shut(engine)

    async def end(self) -> None:
        """Close everything; what was recorded is in the journal then."""
        await self.give_up()
        if self._flushing is not None:
            self._flushing.cancel()
        try:
            self._pool.close()
        finally:
            self._opened.close()

    async def _do(self, work: _Work, row: Identified) -> Answer:
        async with self._places:
            value = await work.fn(row)
        end = Outcome("filtered", value.reason) if isinstance(value, Filtered) else Outcome("done", value.to_json())
        self._journal.record(work.stage, row.id, end)
        return Answer(end, self._count())

    def _engine(self, name: EngineName) -> Counted:
        if name.number not in self._engines:
            self._engines[name.number] = self._pool.open(name.spec, name.reply)
        return self._engines[name.number]

    def _count(self) -> dict[int, Usage] | None:
        if time.monotonic() - self._told < _TELL_SECONDS:
            return None
        self._told = time.monotonic()
        return {number: engine.usage for number, engine in self._engines.items()}

    async def _keep_flushing(self) -> None:
        """Let nothing that was recorded wait for the next record."""
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            self._journal.flush_if_due()


@dataclass(frozen=True)
class _Work:
    """The row function of a mapping, and the name under which ends are recorded."""

    number: int
    stage: str
    fn: Callable[[Any], Awaitable[Any]]


class _Answers:
    """Answers in several journals; more may come."""

    def __init__(self, first: Readable) -> None:
        self._journals = [first]

    def add(self, journal: Readable) -> None:
        """Look into this one too."""
        self._journals.append(journal)

    def get(self, key: str) -> str | None:
        """Recall a payload; None where none has it."""
        return next((found for one in self._journals if (found := one.get(key)) is not None), None)
