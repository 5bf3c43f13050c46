"""What vLLM began inside a process does not outlive it, however the process ends."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")

_HERE = importlib.util.find_spec("vllm") is not None

# A process that begins a child, which begins one of its own; each keeps writing to a file.
_FAMILY = """\
import multiprocessing, sys, time
from pathlib import Path
from charter.engines.vllm.watch import Watch

def beat(place, is_first):
    if is_first:
        multiprocessing.get_context(sys.argv[2]).Process(target=beat, args=(place, False)).start()
    while True:
        (place / ("child" if is_first else "grandchild")).open("a").write("x")
        time.sleep(0.05)

if __name__ == "__main__":
    place = Path(sys.argv[1])
    watch = Watch()
    multiprocessing.get_context(sys.argv[2]).Process(target=beat, args=(place, True)).start()
    while not (place / "grandchild").exists():
        time.sleep(0.05)
    watch.look()
    time.sleep(1.0)
    if sys.argv[3] == "close":
        watch.close()
        print("closed", flush=True)
    else:
        print("begun", flush=True)
    time.sleep(600)
"""

_VLLM = """\
import sys, time
from pathlib import Path
from charter.engines.vllm import Hosts, HostSettings
from charter.engines.weights import resolve_model

if __name__ == "__main__":
    settings = HostSettings(dtype="float32", max_rows=4)
    host = Hosts().find(resolve_model(sys.argv[1]), settings)
    host.require(None)
    print("begun", flush=True)
    time.sleep(600)
"""


def _wait(holds: Callable[[], object], what: str) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until, f"not within 60 s: {what}"
        time.sleep(0.1)


def _session(number: int) -> list[str]:
    """Name the processes of a session that have not ended, which all that one begins belong to."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            status = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(status[3]) == number and status[0] != "Z":
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80])
        except OSError:
            continue
    return found


def _begin(code: str, place: Path, *arguments: str) -> subprocess.Popen[str]:
    """Run a script until it says that it has begun."""
    script = place / "script.py"
    script.write_text(code)
    running = subprocess.Popen(
        [sys.executable, str(script), *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert running.stdout is not None
    assert running.stdout.readline().strip() in {"begun", "closed"}
    return running


@pytest.mark.parametrize("way", ["spawn", "fork"])
def test_a_killed_process_leaves_no_children(tmp_path: Path, way: str) -> None:
    """Nor what they began, and also where they hold the pipe by which it would be noticed."""
    running = _begin(_FAMILY, tmp_path, str(tmp_path), way, "stay")
    assert len(_session(running.pid)) >= 3
    running.kill()
    running.communicate()
    _wait(lambda: not _session(running.pid), "its children have ended")


def test_a_watch_that_is_closed_ends_what_is_left(tmp_path: Path) -> None:
    """A child that did not end in time is ended, and nothing else."""
    running = _begin(_FAMILY, tmp_path, str(tmp_path), "fork", "close")
    assert os.getsid(running.pid) == running.pid
    _wait(lambda: len(_session(running.pid)) == 1, "its children have ended")
    assert running.poll() is None
    running.kill()
    running.communicate()


def test_a_watch_that_is_slow_to_begin_ends_what_is_left(tmp_path: Path) -> None:
    """A child and the end that come to it in one piece, as on a machine that has much to do: the child is ended."""
    running = _begin(_FAMILY.replace("time.sleep(1.0)", "pass"), tmp_path, str(tmp_path), "fork", "close")
    _wait(lambda: len(_session(running.pid)) == 1, "its children have ended")
    running.kill()
    running.communicate()


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.skipif(not _HERE, reason="vLLM is not in this environment")
def test_a_killed_process_leaves_nothing_of_vllm(tmp_path: Path, tiny_wide_model: Path) -> None:
    """Neither its engine nor its workers, which keep hold of a GPU's memory."""
    running = _begin(_VLLM, tmp_path, str(tiny_wide_model))
    assert any("VLLM::" in command for command in _session(running.pid))
    running.kill()
    running.communicate()
    _wait(lambda: not _session(running.pid), "vLLM has ended")
