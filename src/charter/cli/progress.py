"""How far a stage is, on stderr: bars in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from charter.cli import console

_SECONDS_BETWEEN_LINES = 10.0
_MEGABYTE = 1e6
_TELLING = 0.05  # of the rows; the first ones took as long as all those that ran beside them, and tell no pace
_SLOW = 0.1  # rows a second, below which how long each takes says more


@dataclass
class _Count:
    """How far one stage is: rows in all, before this process, and done; when it began."""

    total: int
    before: int
    done: int
    began: float

    def ended(self, stage: str, now: float) -> str:
        """Say how far it came, and in what time."""
        before = f", {self.before} of them before" if self.before else ""
        return f"{stage}: {self.done}/{self.total}{before}, in {clock_time(now - self.began)}"


class Bars:
    """Bars with rate and time left, for a terminal; a stage that ended leaves a line."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, markup=False, highlight=False, emoji=False)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._counts: dict[str, _Count] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.stop()

    def begin(self, stage: str, total: int, done: int) -> None:
        """Open a bar; ``done`` rows were recorded before."""
        self._counts[stage] = _Count(total, done, done, time.monotonic())
        self._tasks[stage] = self._bars.add_task(console.printable(stage), total=total, completed=done, note="")

    def advance(self, stage: str, note: str = "") -> None:
        """Count one row (or step) more."""
        self._counts[stage].done += 1
        self._bars.advance(self._tasks[stage])
        if note:
            self._bars.update(self._tasks[stage], note=console.printable(note))

    def end(self, stage: str) -> None:
        """Close the bar."""
        self._bars.remove_task(self._tasks.pop(stage))
        count = self._counts.pop(stage)
        if count.total:
            self._console.print(console.printable(count.ended(stage, time.monotonic())))

    def download(self, what: str, done: int, total: int) -> None:
        """Show a download: bytes done, and of how many (0: unknown)."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(console.printable(what), total=None, note="MB")
        megabytes = round(total / _MEGABYTE) if total else None
        self._bars.update(self._tasks[what], completed=round(done / _MEGABYTE), total=megabytes)


class _RateColumn(ProgressColumn):
    """Rows (or steps) per second, over the last ones."""

    def render(self, task: Task) -> Text:
        """Show the rate, or nothing before there is one."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else written_rate(speed))


class Lines:
    """At most one line every ten seconds and stage, and one when it ends, for a log.

    Args:
        clock: seconds from any start, never backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[str, _Count] = {}
        self._last_lines: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._counts.clear()

    def begin(self, stage: str, total: int, done: int) -> None:
        """Begin to count; ``done`` rows were recorded before."""
        now = self._clock()
        with self._lock:
            self._counts[stage] = _Count(total, done, done, now)
            self._last_lines[stage] = now

    def advance(self, stage: str, note: str = "") -> None:
        """Count one row (or step) more."""
        with self._lock:
            count = self._counts[stage]
            count.done += 1
            now = self._clock()
            if self._is_due(stage, now):
                console.note(_under_way(stage, count, now, note))

    def end(self, stage: str) -> None:
        """Say how far it came."""
        with self._lock:
            count = self._counts.pop(stage)
        if count.total:
            console.note(count.ended(stage, self._clock()))

    def download(self, what: str, done: int, total: int) -> None:
        """Say how far a download is: bytes done, and of how many (0: unknown)."""
        now = self._clock()
        with self._lock:
            if self._is_due(what, now):
                of_all = f" of {total / _MEGABYTE:.0f}" if total else ""
                console.note(f"{what}: {done / _MEGABYTE:.0f}{of_all} MB")

    def _is_due(self, what: str, now: float) -> bool:
        last = self._last_lines.get(what)
        if last is not None and now - last < _SECONDS_BETWEEN_LINES:
            return False
        self._last_lines[what] = now
        return True


def _under_way(stage: str, count: _Count, now: float, more: str) -> str:
    n_here, share = count.done - count.before, 100 * count.done // max(count.total, 1)
    pace = ""
    if n_here >= _TELLING * (count.total - count.before):
        rate = n_here / max(now - count.began, 1e-9)
        pace = f", {written_rate(rate)}, {clock_time((count.total - count.done) / rate)} left"
    tail = f", {more}" if more else ""
    return f"{stage}: {count.done}/{count.total} ({share} %){pace}{tail}"


def written_rate(per_second: float) -> str:
    """Write how fast rows are done: ``2.5/s``, and of slow ones ``40 s each``."""
    return f"{per_second:.1f}/s" if per_second >= _SLOW or not per_second else f"{1 / per_second:.0f} s each"


def clock_time(seconds: float) -> str:
    """Write a length of time as a clock does: ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def make_progress() -> Bars | Lines:
    """Make bars where stderr is a terminal, lines where it is a file or a pipe."""
    return Bars() if sys.stderr.isatty() else Lines()
