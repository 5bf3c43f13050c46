"""Rows whose calls are written down, and what strikes in the middle of them, for tests of rows done by Ray actors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.engines.base import CompletionRequest, Engine, Sampling
from charter.recipe import Recipe
from charter.records import Record
from charter.rows import Mapped
from charter.runs.folder import Run, open_run
from charter.scale.mapper import on_ray
from charter.scale.worker import Orders, Worker
from run_examples import RECIPE, small_recipe

N_ROWS, N_CALLS = 40, 3
STAGE = "revise"
_STRIKER = 17  # the row in the middle of which somebody is killed
_SECONDS_TO_STRIKE = 120.0


@dataclass(frozen=True)
class Asked:
    """A row."""

    number: int
    log: Path

    @property
    def id(self) -> str:
        """Its name."""
        return f"row-{self.number:03}"


class Said(Record):
    """What comes of it."""

    id: str
    texts: tuple[str, ...]


def write_down(request: CompletionRequest) -> str:
    """Answer with the call's own name, and write it into a log."""
    log, name = (request.text or "").split("\n")
    with Path(log).open("a", encoding="utf-8") as file:
        file.write(f"{name}\n")
    return name


async def ask(row: Asked, engine: Engine, strike: str) -> Said:
    """Make a row's calls; in the middle of one row, once, something strikes (see ``strike_here``)."""
    texts = []
    if strike == "held":
        await leave_rows(row)
    for call in range(N_CALLS):
        request = CompletionRequest(text=f"{row.log}\n{row.id}:{call}", sampling=Sampling(temperature=0.0))
        texts.append((await engine.complete(request)).text)
        if strike and row.number == _STRIKER and call == N_CALLS - 2:
            await strike_here(row.log.parent, strike, set(texts))
    return Said(id=row.id, texts=tuple(texts))


async def leave_rows(row: Asked) -> None:
    """Once the row has begun in which something strikes, wait in all that come after it, so that many are left then."""
    begun, struck = row.log.parent / "begun", row.log.parent / "struck"
    if row.number == _STRIKER:
        begun.touch()
    # Rows may overtake it on their way, and none may take the place from it by waiting.
    while row.number > _STRIKER and begun.exists() and not struck.exists():  # noqa: ASYNC110 - no event tells of files
        await asyncio.sleep(0.01)


async def strike_here(folder: Path, strike: str, own: set[str]) -> None:
    """Wait until all calls so far are recorded, write down which those are, and end the process or wait for its end.

    Those of rows beside it may be on their way then; the row's ``own`` may not. Where its journal is to be held
    then, wait too until somebody waits for that (see ``holding``).
    """
    marker = folder / "struck"
    if marker.exists():
        return
    n_logged = len((folder / "log").read_text("utf-8").split())
    # Less the calls that rows beside it are in.
    while len(texts := recorded(folder / "run")) < n_logged - 2 * N_CALLS or not own <= texts:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    (folder / "recorded").write_text("\n".join(sorted(texts)), "utf-8")
    if strike in {"actor", "held"}:
        while strike == "held" and not (folder / "waiting").exists():  # noqa: ASYNC110 - no event tells of files
            await asyncio.sleep(0.05)
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    import ray

    (folder / "struck.new").write_text(f"{os.getpid()} {ray.get_runtime_context().get_node_id()}", "utf-8")
    (folder / "struck.new").replace(marker)
    await asyncio.sleep(_SECONDS_TO_STRIKE)


def recorded(run: Path) -> set[str]:
    """Read the texts that the journals of a run and its actors hold by now."""
    found: set[str] = set()
    for journal in (run / "journal.sqlite", *(run / "workers").glob("*.sqlite")):
        with (
            contextlib.suppress(sqlite3.OperationalError),  # one that is only just being made
            contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as database,
        ):
            found |= {text for (text,) in database.execute("SELECT payload ->> 'text' FROM completions")}
    return found


class Stillborn(Worker):
    """A worker that is killed before it has a journal, once another has one; the first of a run, and no other."""

    def __init__(self, orders: Orders) -> None:
        folder = orders.journal.parent
        with contextlib.suppress(FileExistsError):
            (folder.parent.parent / "struck").touch(exist_ok=False)
            while not list(folder.glob("*.sqlite")):
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)
        super().__init__(orders)


@contextlib.contextmanager
def opened(folder: Path, *overrides: str) -> Iterator[Run]:
    """Open the run of the small recipe in a folder."""
    recipe: Recipe = small_recipe(folder, *overrides)
    with open_run(recipe, folder / "run", recipe_text=RECIPE) as run:
        yield run


def map_there(run: Run, *, strike: str = "", notes: list[str] | None = None) -> Mapped[Said]:
    """Map the rows of these tests by actors."""

    def note(what: str) -> None:
        if notes is not None:
            notes.append(what)

    rows = [Asked(number, run.folder.parent / "log") for number in range(N_ROWS)]
    with on_ray(run, note=note):
        engine = run.pool.engine("policy", write_down)

        async def one(row: Asked) -> Said:
            return await ask(row, engine, strike)

        return run.mapper(one, rows, STAGE, result=Said)


def assert_nothing_lost(folder: Path, mapped: Mapped[Said]) -> None:
    """Hold the rows to what they must come to, and their calls to what was recorded when something struck."""
    assert [one.id for one in mapped.done] == [f"row-{number:03}" for number in range(N_ROWS)]
    assert all(one.texts == tuple(f"{one.id}:{call}" for call in range(N_CALLS)) for one in mapped.done)
    calls = Counter((folder / "log").read_text("utf-8").split())
    assert len(calls) == N_ROWS * N_CALLS
    before = (folder / "recorded").read_text("utf-8").split()
    assert f"row-{_STRIKER:03}:{N_CALLS - 2}" in before
    assert {name: calls[name] for name in before} == dict.fromkeys(before, 1)
    assert not (folder / "run/workers").exists()
    # An actor that is killed takes the last answers of rows that are done along: nobody will ask for them again.
    assert set(before) <= recorded(folder / "run") <= set(calls)


def wait_for(path: Path) -> str:
    """Wait until a file is there, and read it."""
    end = time.monotonic() + _SECONDS_TO_STRIKE
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.05)
    return path.read_text("utf-8")


def node_of(cluster: Any, node_id: str) -> Any:
    """Find a node of a cluster by its id."""
    return next(node for node in cluster.worker_nodes if node.node_id == node_id)
