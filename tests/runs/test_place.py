from __future__ import annotations

import fcntl
import os
import platform
import threading
from pathlib import Path

import pytest

from charter.errors import Busy
from charter.runs import place
from charter.runs.place import held, holder_of


def test_who_holds_a_folder_is_named_with_the_machine(tmp_path: Path) -> None:
    """Over a shared disk a process is looked for on its machine; the name goes with the lock."""
    run = tmp_path / "run"
    assert holder_of(run) == ""
    with held(run) as at:
        at.is_taken = True
        assert holder_of(run) == f"process {os.getpid()} on {platform.node()}"
    assert holder_of(run) == ""
    assert not (run / ".holder").exists()


def test_a_name_that_is_not_seen_hides_no_holder(tmp_path: Path) -> None:
    """The lock alone tells that a folder is held, and a folder that nobody held is looked at without a trace."""
    run = tmp_path / "run"
    with held(run):
        (run / ".holder").unlink()
        assert holder_of(run) == "another process"
        with pytest.raises(Busy, match="another process is running on this folder"), held(run):
            pass
    run.mkdir()
    assert holder_of(run) == ""
    assert list(run.iterdir()) == []


def test_who_looks_is_in_nobodys_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who looks at this moment is no holder, and a run begins as soon as they have looked."""
    monkeypatch.setattr(place, "_GLANCE_SECONDS", 30.0)
    with (tmp_path / ".lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert holder_of(tmp_path) == ""
        threading.Timer(0.05, fcntl.flock, [file, fcntl.LOCK_UN]).start()
        with held(tmp_path):
            assert holder_of(tmp_path).startswith("process ")
