"""A disk that is full, a limit on the size of files, a folder that is read-only: said clearly, and gone on with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.command import Command
from faults.points import point, some
from run_examples import table_bytes

pytestmark = [pytest.mark.faults, pytest.mark.slow]

# A run asks for a gigabyte before it begins: here it is to run out of room later.
LIMITED = """
import resource, sys
from charter.runs import place
from charter.cli import main
place._MIN_FREE_BYTES = 0
if (limit := int(sys.argv[1])):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
main(sys.argv[2:])
"""
LIMITS = (1, 100, 1_000, 4_096, 10_000, 40_000, 120_000, 300_000)  # bytes a file
ROOMS = (4_096, 16_384, 65_536, 131_072, 262_144, 393_216, 655_360, 1_048_576)  # bytes of a disk
CLOSED = (".", "data", "stages", "..")  # of the run's folder
# The superuser writes into every folder unless that right is taken from it.
HELD_TO_PERMISSIONS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def _run(place: Path, out: Path, *, limit: int = 0, before: list[str] | None = None) -> tuple[int, str]:
    """Run the recipe in a process of its own, and give its exit code and what it said."""
    command = [*(before or []), sys.executable, "-c", LIMITED, str(limit), "run", "demo.yaml", "--out", str(out)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def _require_clear(code: int, said: str) -> None:
    """The error is the user's to mend, is no fault of ours, and says what cannot be written and what to do."""
    assert code == 2, said
    assert "Traceback" not in said
    error = said.partition("error: ")[2]
    assert "cannot be written" in error
    assert any(remedy in error for remedy in ("free space and permissions", "--out")), error


def _goes_on(charter: Command, out: Path, finished: Path) -> None:
    done = charter("run", "demo.yaml", "--out", out)
    assert done.code == 0, done.err
    assert table_bytes(out) == table_bytes(finished)
    assert not list(out.rglob("*.partial"))


@pytest.mark.parametrize("limit", some(LIMITS, 2))
def test_a_limit_on_the_size_of_files(charter: Command, place: Path, finished: Path, limit: int) -> None:
    """Whichever file is the first that is too long, the error says it; without the limit the run goes on."""
    with point("file-size limit", f"{limit} bytes"):
        _require_clear(*_run(place, place / "run", limit=limit))
        _goes_on(charter, place / "run", finished)


@pytest.fixture
def disk(place: Path) -> Iterator[Path]:
    """A small disk in memory, which only the superuser can mount."""
    mounted = place / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4k", "charter", str(mounted)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("nobody here may mount a disk")
    yield mounted
    subprocess.run(["umount", str(mounted)], check=True)


@pytest.mark.parametrize("room", some(ROOMS, 2))
def test_a_disk_that_fills(charter: Command, place: Path, finished: Path, disk: Path, room: int) -> None:
    """Wherever it is full, the error says it; with more room the run goes on."""
    resize = ["mount", "-o", "remount,size={}", str(disk)]
    subprocess.run([one.format(room) for one in resize], check=True)
    with point("full disk", f"{room} bytes"):
        _require_clear(*_run(place, disk / "run"))
        subprocess.run([one.format("2g") for one in resize], check=True)
        _goes_on(charter, disk / "run", finished)


@pytest.mark.parametrize("closed", some(CLOSED, 1))
def test_a_folder_that_is_read_only(charter: Command, place: Path, finished: Path, closed: str) -> None:
    """In the middle of a run, of which some was done: said, and gone on with once it can be written."""
    if HELD_TO_PERMISSIONS and shutil.which("setpriv") is None:
        pytest.skip("the superuser writes anywhere here")
    out = place / "runs/one"
    assert charter("run", "demo.yaml", "--out", out, "--until", "revise").code == 0
    folder = (out / closed).resolve()
    if closed == "..":
        shutil.rmtree(out)
    with point("read-only folder", closed):
        folder.chmod(0o555)
        try:
            _require_clear(*_run(place, out, before=HELD_TO_PERMISSIONS))
        finally:
            folder.chmod(0o755)
        _goes_on(charter, out, finished)
