"""No interruption changes what a run comes to: killed at any moment of any stage, it goes on to the same bytes."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from pathlib import Path

import pytest

from faults.points import FULL, point
from faults.resumed import assert_same, finish
from killed_processes import killed_child
from run_examples import SMALL_STAGES

PHASES = ("opening", *SMALL_STAGES, "closing")
#: Where something of the disk changes next; between two of them nothing does.
AT_THE_DISK = frozenset({"write", "sync", "rename", "commit"})

RUNS = "from run_examples import small_run; small_run(Path(sys.argv[1]), sys.argv[4:])"


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """List the moments of a run that is not killed, each by its phase and kind."""
    done = _child(tmp_path_factory.mktemp("counted"), 0)
    assert done.returncode == 0, done.stderr
    found = [(phase, kind) for phase, kind in json.loads(done.stdout)]
    assert {phase for phase, _ in found} == set(PHASES)
    assert {kind for _, kind in found} > AT_THE_DISK
    return found


def _child(folder: Path, last: int) -> subprocess.CompletedProcess[str]:
    return killed_child(RUNS, folder, last, *SMALL_STAGES)


def _kill_and_finish(folder: Path, at: int, clean: Path) -> None:
    """Kill a run at a moment, and go on with it to its end, asking nothing again that was recorded."""
    killed = _child(folder, at)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    finish(folder, clean)


def test_a_killed_run_ends_as_if_it_never_was(tmp_path: Path, clean: Path, moments: list[tuple[str, str]]) -> None:
    """Killed at three moments drawn from the whole run, it goes on to the same bytes."""
    for at in random.Random(0).sample(range(1, len(moments) + 1), 3):  # noqa: S311 - no secret
        _kill_and_finish(tmp_path / str(at), at, clean)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("phase", PHASES)
def test_a_run_killed_in_any_phase_ends_as_if_it_never_was(
    tmp_path: Path, clean: Path, moments: list[tuple[str, str]], phase: str
) -> None:
    """The same in each stage, the opening and the closing: at two moments, or before every write, sync and rename."""
    found = [at for at, (its_phase, kind) in enumerate(moments, start=1) if its_phase == phase]
    if FULL:
        chosen = [at for at in found if moments[at - 1][1] in AT_THE_DISK]
    else:
        chosen = random.Random(phase).sample(found, 2)  # noqa: S311 - as above
    assert chosen
    for at in chosen:
        with point("killed before a write, sync, rename or commit", f"{phase}: {moments[at - 1][1]} {at}"):
            _kill_and_finish(tmp_path / str(at), at, clean)


def test_a_run_killed_again_and_again_ends_as_if_it_never_was(
    tmp_path: Path, clean: Path, moments: list[tuple[str, str]]
) -> None:
    """A run that is killed at every start, each time a little later, gets to its end and to the same bytes."""
    n_killed = 0
    while (ended := _child(tmp_path, 1 + len(moments) // 4)).returncode == -signal.SIGKILL:
        n_killed += 1
        assert n_killed < 20
    assert ended.returncode == 0, ended.stderr
    assert n_killed >= 3
    assert_same(tmp_path / "run", clean)
