"""Actors that come in place of lost ones and misbehave, and rows that wait for them, for tests of crews."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from charter.engines.base import CompletionRequest, Engine, Sampling
from charter.engines.pool import Counted
from charter.errors import EngineError
from charter.journal.reading import count_journal
from charter.rows import Mapped
from charter.runs.folder import Run
from charter.runs.tally import Tally
from charter.scale.stand_ins import EngineName
from charter.scale.worker import Opened, Orders, Refused, Worker
from scale.clustered import N_ROWS, STAGE, Asked, Said, ask

_STRIKER = 3
_N_CALLS = 1000
_LOOKS = 200  # for a tally in a journal, before it is done without


class Placed(Worker):
    """A worker that knows the folder of its test."""

    def __init__(self, orders: Orders) -> None:
        self.folder = orders.journal.parents[2]
        super().__init__(orders)

    def is_first(self, name: str) -> bool:
        """Leave a file, and tell whether it was not there."""
        with contextlib.suppress(FileExistsError):
            (self.folder / name).touch(exist_ok=False)
            return True
        return False


class Balking(Placed):
    """A worker that cannot begin, where it is the first that comes in place of a lost one."""

    async def begin(self, number: int, stage: str, packed: bytes) -> Refused | None:
        """Refuse once."""
        if (self.folder / "struck").exists():
            if self.is_first("balked"):
                return Refused.of(EngineError("the server gives no answer"))
            (self.folder / "begun").touch()
        return await super().begin(number, stage, packed)


class Refusing(Worker):
    """A worker that can never begin."""

    async def begin(self, number: int, stage: str, packed: bytes) -> Refused | None:  # noqa: ARG002 - the worker's
        """Refuse."""
        return Refused.of(EngineError("the server gives no answer"))


class Closed(Placed):
    """A worker that cannot open an engine, where it is the first of a run."""

    async def open(self, name: EngineName) -> Opened | Refused:
        """Refuse once."""
        if self.is_first("balked"):
            return Refused.of(EngineError("the device is out of memory"))
        return await super().open(name)


class Late(Placed):
    """A worker that comes late, where it comes in place of a lost one, and writes down which engines it opens."""

    def __init__(self, orders: Orders) -> None:
        folder = orders.journal.parents[2]
        while (folder / "struck").exists() and not (folder / "let in").exists():
            time.sleep(0.02)
        super().__init__(orders)

    def _engine(self, name: EngineName) -> Counted:
        with (self.folder / "opened").open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}:{name.number}\n")
        return super()._engine(name)


def opened_by(folder: Path) -> dict[int, set[int]]:
    """Read which engines late workers opened: by number, the processes that did."""
    found: dict[int, set[int]] = {}
    for line in (folder / "opened").read_text("utf-8").split():
        process, _, number = line.partition(":")
        found.setdefault(int(number), set()).add(int(process))
    return found


async def strike_and_ask(row: Asked, engine: Engine, awaited: str) -> Said:
    """Make a row's calls. One row kills its actor, once, and those after it wait for a file."""
    folder = row.log.parent
    if row.number == _STRIKER and not (folder / "struck").exists():
        (folder / "struck").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    while row.number > _STRIKER and not (folder / awaited).exists():  # noqa: ASYNC110 - no event tells of files
        await asyncio.sleep(0.01)
    return await ask(row, engine, "")


async def ask_once_all_opened(row: Asked, engine: Engine, number: int) -> Said:
    """Make a row's calls once two workers have opened the engine of this number."""
    while len(opened_by(row.log.parent).get(number, ())) < 2:  # noqa: ASYNC110 - no event tells of files
        await asyncio.sleep(0.01)
    return await ask(row, engine, "")


async def spend(row: Asked, engine: Engine, strike: str, n_most: int) -> Said:
    """Spend tokens of a server without end; at so many, once, kill the actor, or wait until somebody is killed.

    Where its journal is to be held then, that is once somebody waits for it (see ``holding``) and another actor has a
    row; those that were there before spend nothing, and leave rows for the one that comes in its place.
    """
    struck, n_taken = row.log.parent / "struck", 0
    if strike == "held" and await _is_bystander(row):
        return Said(id=row.id, texts=())
    for call in range(_N_CALLS):
        request = CompletionRequest(text=f"{row.id}:{call}" + " word" * 40, sampling=Sampling(max_tokens=4))
        answer = await engine.complete(request)
        n_taken += answer.n_prompt_tokens + answer.n_completion_tokens
        if n_taken >= n_most and not struck.exists():
            for _ in range(_LOOKS):
                if _n_kept(row.log.parent / "run/workers") >= n_taken:
                    break
                await asyncio.sleep(0.05)
            (row.log.parent / "struck.new").write_text(str(os.getpid()), "utf-8")
            (row.log.parent / "struck.new").replace(struck)
            if strike == "driver":
                await asyncio.sleep(3600)
            while strike == "held" and not _is_awaited(row.log.parent):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)
    raise EngineError("there is no end to it")


async def _is_bystander(row: Asked) -> bool:
    """Tell who was there before somebody was killed, once another one has come in that one's place.

    The row that begins first is that of the one who will be killed; a row of any other waits.
    """
    folder = row.log.parent
    struck, was_here, replaced = folder / "struck", folder / f"{os.getpid()}.pid", folder / "replaced"
    if not struck.exists():
        with contextlib.suppress(FileExistsError):  # rows may overtake each other on their way
            (folder / "first").touch(exist_ok=False)
            return False
        was_here.touch()
    if not was_here.exists():
        replaced.touch()
        return False
    while not replaced.exists():  # noqa: ASYNC110 - no event tells of files
        await asyncio.sleep(0.05)
    return True


def _is_awaited(folder: Path) -> bool:
    """Tell whether somebody waits for an actor's journal, and another actor has a row."""
    return (folder / "waiting").exists() and any(folder.glob("*.pid"))


def _n_kept(workers: Path) -> int:
    """Read how many tokens the journals of actors count."""
    kept = [Tally.from_json(one) for path in workers.glob("*.sqlite") for one in count_journal(path).tallies.values()]
    totals = [usage.total for tally in kept for usage in tally.usage.values()]
    return sum(total.n_prompt_tokens + total.n_completion_tokens for total in totals)


def map_spending(run: Run, strike: str, n_most: int) -> Mapped[Any]:
    """Map rows that spend the tokens of the run's judge."""
    engine = run.pool.engine("judge")

    async def one(row: Asked) -> Said:
        return await spend(row, engine, strike, n_most)

    return run.mapper(one, rows_of(run), STAGE, result=Said)


def rows_of(run: Run) -> list[Asked]:
    """Make the rows of a run."""
    return [Asked(number, run.folder.parent / "log") for number in range(N_ROWS)]
