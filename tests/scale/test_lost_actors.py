"""Actors, nodes and the driver are killed on a real cluster of three nodes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from charter.errors import ClusterError
from scale.clustered import (
    N_CALLS,
    N_ROWS,
    Stillborn,
    assert_nothing_lost,
    map_there,
    node_of,
    opened,
    recorded,
    wait_for,
)
from scale.holding import first_held, holding, let_go

pytestmark = pytest.mark.slow
_AHEAD = 6  # rows that an actor which does two is given at once
DRIVER = """
import sys
from pathlib import Path
from scale.clustered import assert_nothing_lost, map_there, opened
folder = Path(sys.argv[1])
with opened(folder, f"ray.address={sys.argv[2]}") as run:
    mapped = map_there(run, strike="driver")
assert_nothing_lost(folder, mapped)
"""


@contextlib.contextmanager
def removing(cluster: Any, folder: Path) -> Iterator[None]:
    """Remove the node of the actor in which something strikes, once it does."""

    def remove() -> None:
        _, node_id = wait_for(folder / "struck").split()
        cluster.remove_node(node_of(cluster, node_id), allow_graceful=False)

    thread = threading.Thread(target=remove)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_a_killed_actor_loses_nothing(nodes: Any, tmp_path: Path) -> None:
    """An actor that is killed is replaced; what it had recorded is kept, and not asked again."""
    del nodes
    notes: list[str] = []
    with opened(tmp_path) as run:
        mapped = map_there(run, strike="actor", notes=notes)
    assert_nothing_lost(tmp_path, mapped)
    assert len(notes) == 1
    assert "an actor was lost" in notes[0]


@contextlib.contextmanager
def journals_held(folder: Path) -> Iterator[Future[tuple[Path, subprocess.Popen[str]]]]:
    """Have another process take the lock of the first of two actors that is lost; give both as soon as it has."""
    locks = folder / "run/workers"

    with contextlib.ExitStack() as stack, ThreadPoolExecutor(1) as thread:

        def take() -> tuple[Path, subprocess.Popen[str]]:
            while len(found := list(locks.glob("*.lock"))) < 2:
                time.sleep(0.05)
            process = stack.enter_context(holding(folder / "waiting", *found))
            return first_held(process), process

        yield thread.submit(take)


def test_a_held_journal_of_a_lost_actor_holds_up_no_other_row(nodes: Any, tmp_path: Path) -> None:
    """While another process holds it, rows are handed out and done; then what was recorded in it is found."""
    del nodes

    def let_go_later(held: Future[tuple[Path, subprocess.Popen[str]]]) -> None:
        _, process = held.result()
        # All rows but those that the lost actor was given: where it was slow to begin, the other has done many before.
        n_others = (N_ROWS - _AHEAD) * N_CALLS
        while len(set((tmp_path / "log").read_text("utf-8").split())) < n_others:
            time.sleep(0.05)
        let_go(process)

    with (
        opened(tmp_path, "ray.n_actors=2", "ray.rows_per_actor=2") as run,
        ThreadPoolExecutor(1) as thread,
        journals_held(tmp_path) as held,
    ):
        done = thread.submit(let_go_later, held)
        mapped = map_there(run, strike="held")
        done.result()
    assert_nothing_lost(tmp_path, mapped)


def test_a_journal_that_stays_held_ends_no_run(nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are done anew, a line says so, and the same command takes it in when it is free."""
    del nodes
    monkeypatch.setattr("charter.scale.crew._PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr("charter.scale.crew._SECONDS_TO_LET_GO", 0.5)
    notes: list[str] = []
    overrides = ("ray.n_actors=2", "ray.rows_per_actor=2")
    with opened(tmp_path, *overrides) as run, journals_held(tmp_path) as held:
        mapped = map_there(run, strike="held", notes=notes)
        journal = held.result()[0].with_suffix(".sqlite")
        assert journal.exists()
    assert [one.texts for one in mapped.done] == [
        tuple(f"row-{number:03}:{call}" for call in range(N_CALLS)) for number in range(N_ROWS)
    ]
    assert any(f"{journal.name}: somebody still holds" in note for note in notes)
    assert "or the same command is run again" in notes[-1]
    with opened(tmp_path, *overrides):
        assert not (tmp_path / "run/workers").exists()
    assert set((tmp_path / "recorded").read_text("utf-8").split()) <= recorded(tmp_path / "run")


def test_an_actor_that_is_killed_as_it_comes_is_replaced(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves no journal, so the actor that is there is given none to look into."""
    del nodes
    monkeypatch.setattr("charter.scale.member.Worker", Stillborn)
    with opened(tmp_path, "ray.n_actors=2") as run:
        mapped = map_there(run)
    assert (tmp_path / "struck").exists()
    assert len(mapped.done) == N_ROWS


def test_a_killed_node_loses_nothing(nodes: Any, tmp_path: Path) -> None:
    """The only actor's node is killed: another actor goes on, on the other node, from what is recorded."""
    with opened(tmp_path, "ray.n_actors=1") as run, removing(nodes, tmp_path):
        mapped = map_there(run, strike="node")
    assert_nothing_lost(tmp_path, mapped)
    assert len(nodes.worker_nodes) == 1


def test_a_killed_driver_loses_nothing(nodes: Any, tmp_path: Path) -> None:
    """The driver is killed: its actors end, and the same command goes on from what they had recorded."""
    command = [sys.executable, "-c", DRIVER, str(tmp_path), nodes.address]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as first:
        actor = int(wait_for(tmp_path / "struck").split()[0])
        first.send_signal(signal.SIGKILL)
    assert first.returncode == -signal.SIGKILL
    assert list((tmp_path / "run/workers").glob("*.sqlite"))
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(actor, 0)


def test_a_missing_spare_node_is_told(nodes: Any, tmp_path: Path) -> None:
    """The last node that has room for an actor is killed: the run ends at the deadline, and says what to do."""
    while len(nodes.worker_nodes) > 1:
        nodes.remove_node(next(iter(nodes.worker_nodes)))
    with (
        # The first actor has to come before it too, and a busy machine starts one in seconds.
        opened(tmp_path, "ray.n_actors=1", "ray.deadline_seconds=20") as run,
        removing(nodes, tmp_path),
        pytest.raises(ClusterError) as caught,
    ):
        map_there(run, strike="node")
    told = str(caught.value)
    assert "1 Ray actors are needed, and after 20 s (ray.deadline_seconds) 0 are there" in told
    assert "Add nodes" in told
    nodes.add_node(num_cpus=1)
    with opened(tmp_path, "ray.n_actors=1") as run:
        mapped = map_there(run, strike="node")
    assert_nothing_lost(tmp_path, mapped)


def test_too_large_a_crew_is_told(nodes: Any, tmp_path: Path) -> None:
    """More actors than the cluster has room for end the run at the deadline, before any row."""
    del nodes
    with opened(tmp_path, "ray.n_actors=3", "ray.deadline_seconds=4") as run, pytest.raises(ClusterError) as caught:
        map_there(run)
    assert re.search(
        r"^3 Ray actors are needed, and after 4 s \(ray.deadline_seconds\) [012] are there", str(caught.value)
    )
    assert not (tmp_path / "log").exists()
