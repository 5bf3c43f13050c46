from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from charter.engines.scripted import ScriptedEngine
from charter.journal.store import Journal
from charter.sharding.merging import merge_shards
from charter.sharding.opening import do_shard
from charter.sharding.shard import Shard
from charter.stages import STAGES
from killed_processes import killed_child
from run_examples import journal_rows, small_recipe, small_run, summaries, table_bytes
from sharding.sharded_run import BETWEEN, OUTSIDE, PHASES, do_shards, do_whole, shards

SHARD = """
from run_examples import small_recipe
from sharding.sharded_run import OUTSIDE
from charter.sharding.opening import do_shard
from charter.sharding.shard import Shard
do_shard(small_recipe(Path(sys.argv[1])), Path(sys.argv[1]) / "run", Shard.read(sys.argv[4]), OUTSIDE)
"""
MERGE = """
from charter.journal import absorption
around(absorption, "_take", "take")
from charter.sharding.merging import merge_shards
merge_shards(Path(sys.argv[1]) / "run")
"""
N = 2


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a run that was done in one piece and never killed."""
    return small_run(tmp_path_factory.mktemp("plain"), list(STAGES))


def kill_until_done(code: str, folder: Path, step: int, *arguments: str) -> int:
    """Start a process until it gets to its end, killed ``step`` moments in and then ever later; how often it was."""
    for n_killed in range(60):
        ended = killed_child(code, folder, step + n_killed * step // 4, *arguments)
        if ended.returncode == 0:
            return n_killed
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    raise AssertionError("it never gets to its end")


def _assert_same(run: Path, plain: Path) -> None:
    assert table_bytes(run) == table_bytes(plain)
    assert journal_rows(run) == journal_rows(plain)
    assert summaries(run) == summaries(plain)
    assert (run / "evaluation.json").read_bytes() == (plain / "evaluation.json").read_bytes()
    assert not list(run.rglob("*.partial"))


def _kill_all_the_way(folder: Path, step: int) -> int:
    """Do a whole run in shards whose every process, merges too, is killed over and over; say how often."""
    recipe, run = small_recipe(folder), folder / "run"
    n_killed = 0
    for number, _ in enumerate(PHASES):
        for shard in shards(N):
            n_killed += kill_until_done(SHARD, folder, step, str(shard))
        n_killed += kill_until_done(MERGE, folder, step)
        if number < len(BETWEEN):
            do_whole(recipe, run, BETWEEN[number])
    return n_killed


def test_a_merge_that_is_killed_goes_on(tmp_path: Path, plain: Path) -> None:
    """Killed at moments spread over a merge, the same call ends as if it never was."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    do_shards(recipe, run, N)
    assert kill_until_done(MERGE, tmp_path, 8) >= 1
    merge_shards(run)
    assert table_bytes(run)["traces.parquet"] == table_bytes(plain)["traces.parquet"]


def test_a_shard_that_is_killed_asks_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed shard had recorded is not asked again, whatever process comes after it."""
    listed = killed_child(SHARD, tmp_path / "counted", 0, "1/2")
    assert listed.returncode == 0, listed.stderr
    moments = json.loads(listed.stdout)
    revising = [n for n, (phase, _) in enumerate(moments, start=1) if phase == "revise"]
    at = revising[len(revising) // 2]
    killed = killed_child(SHARD, tmp_path / "killed", at, "1/2")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    asked = 0
    complete = ScriptedEngine.complete

    async def counting(self: ScriptedEngine, request: object) -> object:
        nonlocal asked
        asked += 1
        return await complete(self, request)  # type: ignore[arg-type]

    monkeypatch.setattr(ScriptedEngine, "complete", counting)

    def n_answers(folder: Path) -> int:
        journal = Journal(folder / "run/shards/1-of-2/journal.sqlite")
        with journal, journal.writing() as database:
            return int(database.execute("SELECT count(*) FROM completions").fetchone()[0])

    n_before = n_answers(tmp_path / "killed")
    do_shard(small_recipe(tmp_path / "killed"), tmp_path / "killed/run", Shard(2, 1), OUTSIDE)
    assert asked == n_answers(tmp_path / "counted") - n_before
    assert 0 < n_before < n_answers(tmp_path / "counted")


@pytest.mark.thorough
def test_shards_and_merges_killed_again_and_again(tmp_path: Path, plain: Path) -> None:
    """Every process of a sharded run is killed at every start, ever a little later: the run is the plain one."""
    assert _kill_all_the_way(tmp_path, 40) >= 6
    _assert_same(tmp_path / "run", plain)


@pytest.mark.slow
def test_shards_that_begin_at_once_share_the_beginning(tmp_path: Path, plain: Path) -> None:
    """Four processes start at the same moment in no folder at all: one begins the run, and all get to their ends."""
    small_recipe(tmp_path)
    command = [sys.executable, "-m", "charter", "run", str(tmp_path / "small.yaml"), "--out", str(tmp_path / "run")]
    running = [
        subprocess.Popen(
            [*command, "--shard", f"{number}/4"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for number in range(1, 5)
    ]
    ended = [(*one.communicate(timeout=300), one.returncode) for one in running]
    assert [code for *_, code in ended] == [0, 0, 0, 0], ended
    assert merge_shards(tmp_path / "run").n_shards == 4
    assert table_bytes(tmp_path / "run")["traces.parquet"] == table_bytes(plain)["traces.parquet"]
