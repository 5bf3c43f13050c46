"""No interruption changes what a run comes to: killed at any moment of any stage, it goes on to the same bytes."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from charter.engines.scripted import ScriptedEngine
from killed_processes import killed_child
from run_examples import SMALL_STAGES, journal_rows, small_run, summaries, table_bytes

WHOLE = SMALL_STAGES
PHASES = ("opening", *WHOLE, "closing")

RUNS = "from run_examples import small_run; small_run(Path(sys.argv[1]), sys.argv[4:])"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a run that nothing interrupted."""
    return small_run(tmp_path_factory.mktemp("whole"), WHOLE)


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """List the moments of a run that is not killed, each by its phase."""
    done = _child(tmp_path_factory.mktemp("counted"), 0)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    assert set(found) == set(PHASES)
    return found


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """List the calls that are put to the scripted engine."""
    made: list[str] = []

    def counting(name: str) -> Any:
        inner = getattr(ScriptedEngine, name)

        async def answer(self: ScriptedEngine, request: Any) -> Any:
            made.append(name)
            return await inner(self, request)

        return answer

    for name in ("complete", "choose", "score"):
        monkeypatch.setattr(ScriptedEngine, name, counting(name))
    return made


def _child(folder: Path, last: int) -> subprocess.CompletedProcess[str]:
    return killed_child(RUNS, folder, last, *WHOLE)


def _n_completions(folder: Path) -> int:
    if not (folder / "journal.sqlite").exists():
        return 0
    database = sqlite3.connect(folder / "journal.sqlite")
    try:
        count: int = database.execute("SELECT COUNT(*) FROM completions").fetchone()[0]
    except sqlite3.OperationalError:  # killed before the tables were made
        count = 0
    database.close()
    return count


def _assert_same(run: Path, finished: Path) -> None:
    """Hold a run against one that was never killed."""
    assert table_bytes(run) == table_bytes(finished)
    assert journal_rows(run) == journal_rows(finished)
    assert summaries(run) == summaries(finished)
    assert (run / "evaluation.json").read_bytes() == (finished / "evaluation.json").read_bytes()
    assert (run / "report.html").read_text("utf-8").endswith("</html>\n")
    assert {path.name for path in run.iterdir()} == {path.name for path in finished.iterdir()}
    assert not list(run.rglob("*.partial"))


def _kill_and_finish(folder: Path, at: int, finished: Path, calls: list[str]) -> None:
    """Kill a run at a moment, and go on with it to its end, asking nothing again that was recorded."""
    killed = _child(folder, at)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    n_recorded = _n_completions(folder / "run")
    calls.clear()
    small_run(folder, WHOLE)
    assert len(calls) == _n_completions(finished) - n_recorded
    assert _n_completions(folder / "run") == _n_completions(finished)
    _assert_same(folder / "run", finished)


def test_a_killed_run_ends_as_if_it_never_was(
    tmp_path: Path, finished: Path, moments: list[str], calls: list[str]
) -> None:
    """Killed at three moments drawn from the whole run, it goes on to the same bytes."""
    for at in random.Random(0).sample(range(1, len(moments) + 1), 3):  # noqa: S311 - no secret
        _kill_and_finish(tmp_path / str(at), at, finished, calls)


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
def test_a_run_killed_in_any_phase_ends_as_if_it_never_was(
    tmp_path: Path, finished: Path, moments: list[str], calls: list[str], phase: str
) -> None:
    """The same at two moments drawn from each stage, from the opening of the run and from its closing: twenty."""
    found = [at for at, name in enumerate(moments, start=1) if name == phase]
    for at in random.Random(phase).sample(found, 2):  # noqa: S311 - as above
        _kill_and_finish(tmp_path / str(at), at, finished, calls)


def test_a_run_killed_again_and_again_ends_as_if_it_never_was(
    tmp_path: Path, finished: Path, moments: list[str]
) -> None:
    """A run that is killed at every start, each time a little later, gets to its end and to the same bytes."""
    n_killed = 0
    while (ended := _child(tmp_path, 1 + len(moments) // 4)).returncode == -signal.SIGKILL:
        n_killed += 1
        assert n_killed < 20
    assert ended.returncode == 0, ended.stderr
    assert n_killed >= 3
    _assert_same(tmp_path / "run", finished)
