"""Actors in place of lost ones, on a real cluster: what they may spend, what they open, and where they cannot begin."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from charter.engines.base import Engine
from charter.errors import BudgetSpent, ClusterError
from charter.rows import Mapped
from charter.runs.folder import Run
from charter.runs.sittings import sitting, tally_so_far
from charter.scale.mapper import on_ray
from engines.fault_server import FaultServer
from scale.clustered import N_ROWS, STAGE, Asked, Said, opened, wait_for, write_down
from scale.holding import first_held, holding
from scale.replaced import (
    Balking,
    Closed,
    Late,
    Refusing,
    ask_once_all_opened,
    map_spending,
    opened_by,
    rows_of,
    strike_and_ask,
)

pytestmark = pytest.mark.slow
TWO = ("ray.n_actors=2", "ray.rows_per_actor=2")
ONE = ("ray.n_actors=1", "ray.rows_per_actor=1")
N_MOST = 6_000
DRIVER = """
import sys
from pathlib import Path
from charter.runs.sittings import sitting
from charter.scale.mapper import on_ray
from scale.clustered import STAGE, opened
from scale.replaced import map_spending
folder, *overrides = sys.argv[1:]
with opened(Path(folder), *overrides) as run, on_ray(run), sitting(run, STAGE):
    map_spending(run, "driver", 3_600)
"""


def judge(server: FaultServer) -> str:
    """Write the setting that has a server judge."""
    return f"models.judge={{name: stub, engine: http, server: '{server.url}'}}"


def n_counted(run: Run) -> int:
    """Read how many tokens of the server a run's stage counts, over all sittings."""
    total = tally_so_far(run, STAGE).usage["stub"].total
    return total.n_prompt_tokens + total.n_completion_tokens


def test_a_killed_actor_s_spending_is_not_spent_again(nodes: Any, tmp_path: Path) -> None:
    """An actor is killed before any row has ended: what it took is out of the part of the one in its place."""
    del nodes
    with FaultServer() as server:
        overrides = (*ONE, judge(server), f"budget.tokens={N_MOST}")
        with opened(tmp_path, *overrides) as run, on_ray(run):
            with pytest.raises(BudgetSpent), sitting(run, STAGE):
                map_spending(run, "actor", 3_600)
            assert (tmp_path / "struck").exists()
            assert 4_000 < server.seen.n_tokens <= N_MOST
            assert run.spending.tokens == server.seen.n_tokens
            assert n_counted(run) == server.seen.n_tokens
        with opened(tmp_path, *overrides) as run:
            assert run.spending.tokens == server.seen.n_tokens


def test_nothing_is_spent_while_it_is_not_known_what_is_left(nodes: Any, tmp_path: Path) -> None:
    """Somebody holds a killed actor's journal: the one in its place is there, and waits until it can be read."""
    del nodes
    workers = tmp_path / "run/workers"

    def wait_for_journals(n: int) -> None:
        end = time.monotonic() + 60.0
        while len(list(workers.glob("*.sqlite"))) < n:
            assert time.monotonic() < end, f"{n} actors never came"
            time.sleep(0.05)

    def hold() -> tuple[int, int]:
        wait_for_journals(2)  # which come once their actors have the locks
        with holding(tmp_path / "waiting", *workers.glob("*.lock")) as process:
            first_held(process)
            wait_for_journals(3)
            before = server.seen.n_tokens
            time.sleep(1.0)
            return before, server.seen.n_tokens

    with (
        FaultServer() as server,
        ThreadPoolExecutor(1) as thread,
        opened(tmp_path, "ray.rows_per_actor=1", judge(server), f"budget.tokens={2 * N_MOST}") as run,
        on_ray(run),
    ):
        held = thread.submit(hold)
        with pytest.raises(BudgetSpent), sitting(run, STAGE):
            map_spending(run, "held", 3_600)
        before, after = held.result()
        assert 3_600 < before == after < server.seen.n_tokens <= N_MOST + 1_000  # that the other asked, to find out
        assert n_counted(run) == server.seen.n_tokens


def test_what_the_actors_of_a_killed_driver_took_is_counted(nodes: Any, tmp_path: Path) -> None:
    """No row had ended, so the driver knew of nothing: it is taken in from the actor's journal, and counted once."""
    with FaultServer() as server:
        overrides = (*ONE, judge(server), f"budget.tokens={N_MOST}")
        command = [sys.executable, "-c", DRIVER, str(tmp_path), f"ray.address={nodes.address}", *overrides]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as first:
            wait_for(tmp_path / "struck")
            first.kill()
        for _ in range(2):
            with opened(tmp_path, *overrides) as run:
                assert run.spending.tokens == server.seen.n_tokens > 3_600
                assert n_counted(run) == server.seen.n_tokens


def map_struck(run: Run, awaited: str, notes: list[str]) -> Mapped[Said]:
    """Map rows of which one kills its actor, and those after it wait for a file."""
    with on_ray(run, note=notes.append):
        engine = run.pool.engine("policy", write_down)

        async def one(row: Asked) -> Said:
            return await strike_and_ask(row, engine, awaited)

        return run.mapper(one, rows_of(run), STAGE, result=Said)


def test_an_actor_that_cannot_begin_fails_no_row(nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of a lost one comes one that can open no engine: the other goes on, and a third takes its place."""
    del nodes
    monkeypatch.setattr("charter.scale.member.Worker", Balking)
    notes: list[str] = []
    with opened(tmp_path, *TWO) as run:
        mapped = map_struck(run, "begun", notes)
    assert (len(mapped.done), mapped.failed) == (N_ROWS, {})
    assert ["was lost" in note or "could not begin" in note for note in notes] == [True, True]
    assert "another is called for later: the server gives no answer" in notes[1]


def test_an_actor_that_cannot_open_an_engine_is_done_without(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two actors cannot open the stage's model: the other does its rows, and a line says so."""
    del nodes
    monkeypatch.setattr("charter.scale.member.Worker", Closed)
    notes: list[str] = []
    with opened(tmp_path, *TWO) as run:
        (tmp_path / "struck").touch()
        mapped = map_struck(run, "struck", notes)
    assert (len(mapped.done), mapped.failed) == (N_ROWS, {})
    assert ["could not begin" in note and "the device is out of memory" in note for note in notes] == [True]


def test_where_no_actor_can_begin_the_run_ends(nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says why, and no row is recorded as failed."""
    del nodes
    monkeypatch.setattr("charter.scale.member.Worker", Refusing)
    with opened(tmp_path, *TWO) as run:
        with pytest.raises(ClusterError, match=r"no actor is left that can begin: the server gives no answer"):
            map_struck(run, "struck", [])
        assert run.journal.outcomes(STAGE) == {}


def test_an_actor_that_comes_late_opens_what_is_open(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An actor is lost, and the one in its place comes when that work is done and its engine closed."""
    del nodes
    monkeypatch.setattr("charter.scale.member.Worker", Late)
    with opened(tmp_path, *TWO) as run, on_ray(run):

        def map_with(engine: Engine, stage: str) -> Mapped[Said]:
            async def one(row: Asked) -> Said:
                if stage == STAGE:
                    return await strike_and_ask(row, engine, "struck")
                return await ask_once_all_opened(row, engine, 1)

            return run.mapper(one, rows_of(run), stage, result=Said)

        first = run.pool.engine("policy", write_down)
        assert len(map_with(first, STAGE).done) == N_ROWS
        run.pool.shut(first)
        (tmp_path / "let in").touch()
        assert len(map_with(run.pool.engine("policy", write_down), "pairs").done) == N_ROWS
        by_number = opened_by(tmp_path)
    assert (len(by_number[0]), len(by_number[1]), len(by_number[0] & by_number[1])) == (2, 2, 1)
