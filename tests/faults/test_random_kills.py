"""Killed at any time by the clock, a run goes on to the same bytes: nothing is lost, nothing is done twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faults.points import point, points
from faults.resumed import finish

pytestmark = [pytest.mark.faults, pytest.mark.slow]

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from run_examples import SMALL_STAGES, small_run
print("ready", flush=True)
small_run(Path(sys.argv[1]), SMALL_STAGES)
"""


def _started(folder: Path) -> subprocess.Popen[str]:
    """Start the small run in a process of its own, once its libraries are loaded."""
    tests = str(Path(__file__).parents[1])
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), tests], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


@pytest.fixture(scope="module")
def seconds(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Say how long a run takes that nobody kills."""
    child = _started(tmp_path_factory.mktemp("timed"))
    began = time.monotonic()
    _, err = child.communicate()
    assert child.returncode == 0, err
    return time.monotonic() - began


@pytest.mark.parametrize("number", points(2, 100, "CHARTER_KILLS"))
def test_a_run_killed_at_any_time_ends_as_if_it_never_was(
    tmp_path: Path, clean: Path, seconds: float, number: int
) -> None:
    """SIGKILL at a time drawn evenly from the whole run; the same command then comes to the same sha256 of all."""
    after = random.Random(number).uniform(0.0, seconds)  # noqa: S311 - no secret
    with point("kill -9 at random times", f"{after / seconds:.0%} of the run") as tried:
        child = _started(tmp_path)
        time.sleep(after)
        child.kill()
        child.communicate()
        n_done = len(list((tmp_path / "run/stages").glob("*.json")))
        finish(tmp_path, clean)
        tried.outcome = f"held, {n_done} stages done"
