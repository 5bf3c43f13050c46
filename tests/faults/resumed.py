"""Runs that were interrupted, gone on with and held against one that was not."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from charter.engines.scripted import ScriptedEngine
from run_examples import SMALL_STAGES, journal_rows, small_run, summaries, table_bytes


@contextlib.contextmanager
def calls_counted() -> Iterator[list[str]]:
    """List the calls that are put to the scripted engine meanwhile."""
    made: list[str] = []

    def counting(name: str) -> Any:
        inner = getattr(ScriptedEngine, name)

        async def answer(self: ScriptedEngine, request: Any) -> Any:
            made.append(name)
            return await inner(self, request)

        return answer

    with pytest.MonkeyPatch.context() as patch:
        for name in ("complete", "choose", "score"):
            patch.setattr(ScriptedEngine, name, counting(name))
        yield made


def n_completions(run: Path) -> int:
    """Count the answers that a run's journal has; none where it was killed before there was one."""
    if not (run / "journal.sqlite").exists():
        return 0
    with contextlib.closing(sqlite3.connect(run / "journal.sqlite")) as database:
        try:
            count: int = database.execute("SELECT COUNT(*) FROM completions").fetchone()[0]
        except sqlite3.OperationalError:  # killed before the tables were made
            count = 0
    return count


def assert_same(run: Path, clean: Path) -> None:
    """Hold a run against one that was never interrupted: the same bytes, every row once, nothing left over."""
    assert_same_results(run, clean)
    assert journal_rows(run) == journal_rows(clean)
    assert n_completions(run) == n_completions(clean)


def assert_same_results(run: Path, clean: Path) -> None:
    """Hold what a run came to against one that was never interrupted, whatever its journal still has of the way."""
    assert table_bytes(run) == table_bytes(clean)
    assert summaries(run) == summaries(clean)
    assert (run / "evaluation.json").read_bytes() == (clean / "evaluation.json").read_bytes()
    assert (run / "report.html").read_text("utf-8").endswith("</html>\n")
    assert {path.name for path in run.iterdir()} == {path.name for path in clean.iterdir()}
    assert not list(run.rglob("*.partial"))


def finish(folder: Path, clean: Path) -> None:
    """Go on with the small run in a folder to its end, asking nothing again that was recorded."""
    n_recorded = n_completions(folder / "run")
    with calls_counted() as calls:
        small_run(folder, SMALL_STAGES)
    assert len(calls) == n_completions(clean) - n_recorded
    assert_same(folder / "run", clean)
