"""Every write, sync, rename and commit fails once: a clear error, and the same command comes to the same end."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from charter.errors import UserError
from charter.files import writing
from charter.journal import store
from faults.points import point, some
from faults.resumed import finish
from run_examples import SMALL_STAGES, small_run

pytestmark = [pytest.mark.faults, pytest.mark.slow]

_ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)


class Failing:
    """What is asked of the disk: counted, and the n-th of it fails.

    Args:
        at: which fails; 0 lets all of it pass.
    """

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.asked: list[str] = []

    def ask(self, kind: str) -> None:
        """Count one, and fail where it is its turn."""
        self.asked.append(kind)
        if len(self.asked) == self.at:
            number = _ERRORS[self.at % len(_ERRORS)]
            if kind == "commit":
                raise sqlite3.OperationalError("disk I/O error")
            raise OSError(number, os.strerror(number))


class Database:
    """A journal's database whose commits may fail."""

    def __init__(self, database: sqlite3.Connection, failing: Failing) -> None:
        self._database, self._failing = database, failing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Execute a statement, unless it commits and that fails."""
        if statement == "COMMIT":
            self._failing.ask("commit")
        return self._database.execute(statement, *values)


@contextmanager
def failing_disk(at: int = 0) -> Iterator[Failing]:
    """Let the n-th write, sync, rename or commit fail; a write fails when half of it is done."""
    failing = Failing(at)
    fsync, replace, sync, opened = os.fsync, os.replace, writing.sync, store.open_to_write

    def syncs(path: Path) -> None:
        if path.is_file():
            if len(failing.asked) + 1 == at:
                os.truncate(path, path.stat().st_size // 2)
            failing.ask("write")
        sync(path)

    def asks(kind: str, does: Any) -> Any:
        def asked(*arguments: Any, **named: Any) -> Any:
            failing.ask(kind)
            return does(*arguments, **named)

        return asked

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", asks("sync", fsync))
        patch.setattr(os, "replace", asks("rename", replace))
        patch.setattr(writing, "sync", syncs)
        patch.setattr(store, "open_to_write", lambda path: Database(opened(path), failing))
        patch.setattr(store, "_MAX_PENDING", 5)
        patch.setattr(store, "_MAX_PENDING_SECONDS", 1e9)  # the n-th is the same one however busy the machine is
        yield failing


def test_whatever_fails_is_said_and_the_run_goes_on(tmp_path: Path, clean: Path) -> None:
    """The error names the file and says what to do; gone on with, the run has the bytes of one that nothing met."""
    with failing_disk() as failing:
        small_run(tmp_path / "counted", SMALL_STAGES)
    kinds = failing.asked
    assert {"write", "sync", "rename", "commit"} == set(kinds)
    for at in some(range(1, len(kinds) + 1), 6):
        with point("a write, sync, rename or commit fails", f"{kinds[at - 1]} {at}") as tried:
            folder = tmp_path / str(at)
            with failing_disk(at) as failing, pytest.raises(UserError, match="cannot be written") as raised:
                small_run(folder, SMALL_STAGES)
            assert str(folder / "run") in str(raised.value)
            finish(folder, clean)
            tried.outcome = f"held: {type(raised.value).__name__}"
