from __future__ import annotations

import io
import sys

import pytest

from charter.cli.progress import Bars, Lines, clock_time, make_progress, written_rate


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def test_lines_are_ten_seconds_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """A stage of a hundred rows in 50 seconds says five things: four on the way, and that it ended."""
    clock = Clock()
    with Lines(clock) as lines:
        lines.begin("revise", 100, 0)
        for _ in range(100):
            clock.now += 0.5
            lines.advance("revise")
        lines.end("revise")
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "revise: 20/100 (20 %), 2.0/s, 0:40 left",
        "revise: 40/100 (40 %), 2.0/s, 0:30 left",
        "revise: 60/100 (60 %), 2.0/s, 0:20 left",
        "revise: 80/100 (80 %), 2.0/s, 0:10 left",
        "revise: 100/100 (100 %), 2.0/s, 0:00 left",
        "revise: 100/100, in 0:50",
    ]


def test_rows_done_before_do_not_speed_it_up(capsys: pytest.CaptureFixture[str]) -> None:
    """The rate is of this process's own rows; the note is shown."""
    clock = Clock()
    lines = Lines(clock)
    lines.begin("label", 1000, 900)
    for clock.now in (1.0, 2.0, 3.0, 4.0):
        lines.advance("label")
    clock.now = 10.0
    lines.advance("label", "1 failed")
    clock.now = 15.0
    lines.end("label")
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "label: 905/1000 (90 %), 0.5/s, 3:10 left, 1 failed",
        "label: 905/1000, 900 of them before, in 0:15",
    ]


def test_the_first_rows_tell_no_pace(capsys: pytest.CaptureFixture[str]) -> None:
    """They took as long as all that ran beside them: what is left is told from a twentieth of the rows on."""
    clock = Clock()
    lines = Lines(clock)
    lines.begin("revise", 60, 0)
    for clock.now in (110.0, 121.0, 132.0):
        lines.advance("revise")
    assert capsys.readouterr().err.splitlines() == [
        "revise: 1/60 (1 %)",
        "revise: 2/60 (3 %)",
        "revise: 3/60 (5 %), 44 s each, 41:48 left",
    ]


def test_two_stages_at_once_keep_their_own_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of one stage do not silence another's."""
    clock = Clock()
    lines = Lines(clock)
    lines.begin("one", 10, 0)
    lines.begin("two", 10, 0)
    clock.now = 10.0
    lines.advance("one")
    lines.advance("two")
    lines.advance("one")
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_empty_stage_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A stage without rows leaves no line."""
    lines = Lines()
    lines.begin("sft/helpful", 0, 0)
    lines.end("sft/helpful")
    assert capsys.readouterr().err == ""


def test_download_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """A download says how far it is, every ten seconds at most, also where its size is not known."""
    clock = Clock()
    lines = Lines(clock)
    lines.download("smollm2-135m", 0, 98_000_000)
    clock.now = 5.0
    lines.download("smollm2-135m", 20_000_000, 98_000_000)
    clock.now = 11.0
    lines.download("smollm2-135m", 50_000_000, 0)
    said = capsys.readouterr().err.splitlines()
    assert said == ["smollm2-135m: 0 of 98 MB", "smollm2-135m: 50 MB"]


def test_bars_leave_a_line_per_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars in a terminal go through a stage and a download, and leave what ended; markup in names is text."""
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    progress = make_progress()
    assert isinstance(progress, Bars)
    with progress:
        progress.download("model", 1_000_000, 0)
        progress.download("model", 2_000_000, 98_000_000)
        for _ in range(2):
            progress.begin("evaluate/[red]x[/red]", 3, 1)
            progress.advance("evaluate/[red]x[/red]", "loss [1.0]")
            progress.advance("evaluate/[red]x[/red]")
            progress.end("evaluate/[red]x[/red]")
    assert terminal.getvalue().count("evaluate/[red]x[/red]: 3/3, 1 of them before, in 0:00") == 2


@pytest.mark.parametrize(("rate", "text"), [(0.0, "0.0/s"), (0.025, "40 s each"), (0.1, "0.1/s"), (12.34, "12.3/s")])
def test_slow_rows_are_told_by_how_long_each_takes(rate: float, text: str) -> None:
    """Below one in ten seconds."""
    assert written_rate(rate) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03")])
def test_clock_time(seconds: float, text: str) -> None:
    """Time is written as clocks write it."""
    assert clock_time(seconds) == text
