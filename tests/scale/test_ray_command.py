"""``charter run --on ray``, on a cluster of this machine alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from charter.errors import ClusterError
from charter.recipe.settings import RaySettings
from charter.recipe.stages import stages_of
from charter.scale.cluster import cluster
from engines.fault_server import FaultServer
from run_examples import RECIPE, journal_rows, small_recipe, small_run, summaries, table_bytes
from scale.clustered import wait_for

pytestmark = pytest.mark.slow
TESTS = Path(__file__).parents[1]
# A run of which one row never ends, stopped as the command is.
HANGING = """
import asyncio, os, sys
from pathlib import Path
from charter.cli.running import stoppable
from charter.records import Prompt
from charter.runs.folder import open_run
from charter.scale.mapper import on_ray
from run_examples import RECIPE, small_recipe
from scale.clustered import Asked, Said
folder = Path(sys.argv[1])
async def hang(row):
    if row.number == 3:
        Path(row.log).write_text(str(os.getpid()), "utf-8")
        await asyncio.sleep(3600)
    return Said(id=row.id, texts=())
with stoppable() as (stop, progress):
    with open_run(small_recipe(folder), folder / "run", recipe_text=RECIPE, stop=stop) as run, on_ray(run):
        run.mapper(hang, [Asked(number, folder / "pid") for number in range(4)], "revise", result=Said)
"""
# A run of which an actor dies at a row, once.
DYING = """
import os, signal, sys, threading
from pathlib import Path
from charter.runs.folder import open_run
from charter.scale.mapper import on_ray
from run_examples import RECIPE, small_recipe
from scale.clustered import Asked, Said
folder = Path(sys.argv[1])
async def die(row):
    if row.number == 3 and not row.log.exists():
        row.log.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return Said(id=row.id, texts=())
with open_run(small_recipe(folder), folder / "run", recipe_text=RECIPE, stop=threading.Event()) as run:
    with on_ray(run, note=lambda text: print(text, file=sys.stderr)):
        rows = run.mapper(die, [Asked(number, folder / "died") for number in range(40)], "revise", result=Said)
        print(len(rows.done))
"""


def usage(run: Path) -> dict[str, Any]:
    """Read what calls and tokens each stage came to, by model."""
    return {path.stem: json.loads(path.read_text("utf-8")).get("usage") for path in (run / "stages").iterdir()}


def charter(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the small recipe by the command."""
    command = [sys.executable, "-m", "charter", "run", str(folder / "small.yaml"), "--out", str(folder / "run")]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def test_a_run_by_actors_is_the_plain_run(tmp_path: Path) -> None:
    """Tables byte by byte, records, counts, figures, calls and tokens are those of the run in one process."""
    twice = "iterations=2"
    plain = small_run(tmp_path / "plain", stages_of(small_recipe(tmp_path / "plain", twice)), twice)
    small_recipe(tmp_path / "ray")
    done = charter(tmp_path / "ray", twice, "--on", "ray")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "ray/run"
    assert table_bytes(run) == table_bytes(plain)
    assert journal_rows(run) == journal_rows(plain)
    assert summaries(run) == summaries(plain)
    assert usage(run) == usage(plain)
    assert (run / "evaluation.json").read_bytes() == (plain / "evaluation.json").read_bytes()
    assert sorted(path.name for path in run.iterdir()) == sorted(path.name for path in plain.iterdir())
    assert "ray" not in done.stderr.lower()  # nothing of Ray's own is told
    again = charter(tmp_path / "ray", twice)
    assert (again.returncode, "done before: prompts, revise" in again.stderr) == (0, True)


def test_a_lost_actor_is_told_in_a_line(tmp_path: Path) -> None:
    """What Ray says of it at length is in its logs; standard output is for results."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])}
    command = [sys.executable, "-c", DYING, str(tmp_path)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "40\n"), ended.stderr
    assert "raylet" not in ended.stderr
    (line,) = (line for line in ended.stderr.splitlines() if "an actor was lost" in line)
    assert "died unexpectedly" in line
    assert "actor_id" not in line


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_leaves_no_actor(tmp_path: Path, asked: signal.Signals) -> None:
    """Ctrl-C, given to all processes as a terminal does, and SIGTERM end a run within ten seconds, and its actors."""
    small_recipe(tmp_path)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])}
    command = [sys.executable, "-c", HANGING, str(tmp_path)]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        actor = int(wait_for(tmp_path / "pid"))
        (os.killpg if asked == signal.SIGINT else os.kill)(running.pid, asked)
        begun = time.monotonic()
        _, told = running.communicate(timeout=60)
    assert running.returncode == 128 + asked, told
    assert time.monotonic() - begun < 10.0
    with pytest.raises(ProcessLookupError):
        os.kill(actor, 0)
    assert not (tmp_path / "run/workers").exists()
    assert len(journal_rows(tmp_path / "run")) == 3


def test_a_budget_holds_over_all_actors(tmp_path: Path) -> None:
    """Actors together spend no more than the run may; with more of it the run goes on, and comes to the plain one."""
    n_most = 15_000
    small_recipe(tmp_path)
    small_recipe(tmp_path / "plain")
    with FaultServer() as server:
        judge = f"models.judge={{name: stub, engine: http, server: '{server.url}'}}"
        stopped = charter(tmp_path, judge, f"budget.tokens={n_most}", "--on", "ray", "--until", "label")
        assert stopped.returncode == 2, stopped.stderr
        assert "(an actor's part of it, one of 2)" in stopped.stderr
        n_asked = sum(json.loads(payload)["n_prompt_tokens"] for payload in choices(tmp_path / "run"))
        assert n_asked <= n_most  # calls are held at their most, and wait for those under way
        done = charter(tmp_path, judge, "budget.tokens=10000000", "--until", "label")
        assert done.returncode == 0, done.stderr
        assert charter(tmp_path / "plain", judge, "--until", "label").returncode == 0
    assert table_bytes(tmp_path / "run") == table_bytes(tmp_path / "plain/run")


def test_what_finding_out_about_a_server_takes_is_counted_once(tmp_path: Path) -> None:
    """The command asks what the server can do, and no actor does: tokens are the plain run's, and all that it saw."""
    took = {}
    for folder, on in ((tmp_path / "plain", ()), (tmp_path / "ray", ("--on", "ray"))):
        small_recipe(folder)
        with FaultServer() as server:
            judge = f"models.judge={{name: stub, engine: http, server: '{server.url}'}}"
            done = charter(folder, judge, *on, "--until", "label")
            assert done.returncode == 0, done.stderr
            took[folder.name] = usage(folder / "run")
            stub = took[folder.name]["label"]["stub"]
            assert stub["n_prompt_tokens"] + stub["n_completion_tokens"] == server.seen.n_tokens
    assert took["ray"] == took["plain"]


def choices(run: Path) -> list[str]:
    """Read the judge's answers that a run has recorded."""
    with contextlib.closing(sqlite3.connect(run / "journal.sqlite")) as database:
        query = "SELECT payload FROM completions WHERE payload LIKE '%logprobs%'"
        return [payload for (payload,) in database.execute(query)]


@pytest.mark.model
def test_a_real_model_answers_in_an_actor(tmp_path: Path, tiny_model: Path) -> None:
    """Weights are loaded in the actor, whose answers make the traces, and whose tokens are counted."""
    recipe = RECIPE.replace("{name: small, engine: scripted}", f"{{name: {tiny_model}}}")
    (tmp_path / "small.yaml").write_text(recipe, "utf-8")
    settings = (
        "revise.n_few_shots=0",
        "revise.rounds=1",
        "revise.max_tokens=8",
        "revise.max_critique_tokens=8",
        "ray.n_actors=1",
    )
    done = charter(tmp_path, *settings, "--on", "ray", "--until", "revise")
    assert done.returncode == 0, done.stderr
    assert "loading" in done.stderr
    told = json.loads((tmp_path / "run/stages/revise.json").read_text("utf-8"))
    assert (told["n_done"], told["usage"][str(tiny_model)]["n_calls"]) == (6, 18)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1:1", "Connection refused"),
        ("ray://127.0.0.1:10001", "an address is a host and a port"),
        ("head", "an address is a host and a port"),
    ],
)
def test_a_cluster_that_is_not_there_is_told(tmp_path: Path, address: str, why: str) -> None:
    """An address at which nobody listens ends the run at once, with how a cluster is started."""
    small_recipe(tmp_path)
    refused = charter(tmp_path, "--on", "ray", f"ray.address={address}")
    assert refused.returncode == 2
    assert f"no Ray cluster at {address!r} (ray.address): " in refused.stderr
    assert why in refused.stderr
    assert "ray start --head" in refused.stderr


def test_a_machine_too_slow_for_ray_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray raises a bare exception where its node takes too long to start; who has other work there is told so."""
    import ray

    def time_out(**_: object) -> None:
        raise Exception("The current node timed out during startup. This could happen because of much.")  # noqa: TRY002

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", time_out)
    with (
        pytest.raises(ClusterError, match=r"timed out during startup.*when there is less") as refused,
        cluster(RaySettings()),
    ):
        pass
    assert "ray.address=auto" in str(refused.value)


def test_a_divided_run_is_divided_in_one_way(tmp_path: Path) -> None:
    """A shard is not done by actors."""
    small_recipe(tmp_path)
    refused = charter(tmp_path, "--on", "ray", "--shard", "1/2")
    assert refused.returncode == 2
    assert "two ways to divide a run" in refused.stderr
