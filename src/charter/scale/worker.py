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
from charter.runs.spent import money_of
from charter.runs.tally import Tally
from charter.runs.workers import worker_journal
from charter.scale.stand_ins import EngineName, unpack

_FLUSH_SECONDS = 0.1
_TELL_SECONDS = 1.0  # between two counts of what was taken, into the journal and along with rows


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
        stage: that is at work in the run, on whose account goes what the worker takes.
    """

    journal: Path
    whole: Path
    others: tuple[Path, ...]
    at_rest: tuple[Path, ...]
    n_rows: int
    n_models: int | None = None
    prices: Mapping[str, Price] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    stage: str = ""


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
class Told:
    """What requests came to so far, by model. Who tells more than once numbers it: it may come in any order."""

    number: int = 0
    usage: Mapping[str, Usage] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """How a row ended; and, now and then, what was taken so far."""

    end: Outcome
    told: Told | None = None


class Worker:
    """Does rows of one mapping after another, and records what models answer, how rows end, and what it took.

    What it took is in its journal before anybody is told of it, and once a second besides: a worker that is killed, and
    one whose driver is, have it counted up to then.

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
        self._names: dict[str, EngineName] = {}
        self._stage = orders.stage
        self._told = Told()
        self._work: _Work | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self._flushing: asyncio.Task[None] | None = None
        self._kept_at = 0.0

    def adopt(self, journals: Sequence[Path]) -> None:
        """Look into these journals too for answers, as far as they can be read; nobody writes them any more."""
        for path in journals:
            with contextlib.suppress(JournalError):
                self._answers.add(self._opened.enter_context(RecordedAnswers(path, is_left_alone=True)))

    async def open(self, name: EngineName) -> Opened | Refused:
        """Open an engine, and say what it is."""
        try:
            engine = self._engine(name)
            self._keep()
        except CharterError as error:
            return Refused.of(error)
        return Opened(engine.identity, engine.capabilities)

    async def begin(self, number: int, stage: str, packed: bytes) -> Refused | None:
        """Take on the work of a mapping: the row function, with the engines that it names."""
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._keep_flushing())
        try:
            self._work = _Work(number, stage, unpack(packed, self._engine))
            self._keep()
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

    async def limit(self, budget: Budget) -> None:
        """Take what is left of a part of the run's budget, in place of what the orders say."""
        self.spending.budget = budget

    async def count(self) -> Told:
        """Say what requests came to; all that was recorded is durable then."""
        self._journal.flush()
        return self._keep()

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
            self._keep()
        finally:
            self._opened.close()

    async def _do(self, work: _Work, row: Identified) -> Answer:
        async with self._places:
            value = await work.fn(row)
        end = Outcome("filtered", value.reason) if isinstance(value, Filtered) else Outcome("done", value.to_json())
        self._journal.record(work.stage, row.id, end)
        return Answer(end, self._keep() if self._is_due() else None)

    def _engine(self, name: EngineName) -> Counted:
        if name.number not in self._engines:
            if name.met is not None:
                self._pool.met.setdefault(name.spec.served_as, name.met)
            self._engines[name.number] = self._pool.open(name.spec, name.reply)
            self._names[name.spec.label] = name
        return self._engines[name.number]

    def _is_due(self) -> bool:
        return time.monotonic() - self._kept_at >= _TELL_SECONDS

    def _keep(self) -> Told:
        """Keep in the journal what was taken so far, and say it."""
        used: dict[str, Usage] = {}
        for label, usage in self._pool.usage.items():
            called = self._names[label].called
            used[called] = used.get(called, Usage()) + usage
        if used != self._told.usage:
            money = money_of([name.spec for name in self._names.values()], self.spending, used)
            self._journal.keep_tally(self._stage, Tally(usage=used, money=money).to_json())
            self._told = Told(self._told.number + 1, used)
        self._kept_at = time.monotonic()
        return self._told

    async def _keep_flushing(self) -> None:
        """Let nothing that was recorded or taken wait for the next record."""
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            self._journal.flush_if_due()
            if self._is_due():
                self._keep()


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
