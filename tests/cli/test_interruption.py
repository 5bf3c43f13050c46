"""Ctrl-C, SIGTERM, a closed pipe, a second process: what a run does about it, and that it can be gone on with."""

from __future__ import annotations

import math
import platform
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cli.command import Command, Start
from faults.points import point, points
from run_examples import table_bytes

SLOWLY = "await asyncio.sleep(0.3)"  # an answer takes its time, and can be given up
STUCK = "time.sleep(60)"  # an answer that cannot be given up


def wait_for(condition: object, running: subprocess.Popen[str]) -> None:
    """Wait until a condition holds; the process must still be running then."""
    assert callable(condition)
    end = time.monotonic() + 60
    while not condition():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end, "waited for a minute"
        time.sleep(0.05)


def has_journal(place: Path) -> bool:
    """Tell whether the first stage is done, so that the second is at work."""
    return (place / "runs/demo/stages/prompts.json").exists()


def moment(number: int) -> float:
    """Draw how many seconds after its second stage began a run is interrupted; the usual moment first."""
    return random.Random(number).uniform(0.0, 3.0) if number else 0.5  # noqa: S311 - no secret


def goes_on(charter: Command, place: Path, finished: Path) -> None:
    """Go on with the run by the same command: it is the run that it would have been."""
    done = charter("run", "demo.yaml")
    assert done.code == 0, done.err
    assert table_bytes(place / "runs/demo") == table_bytes(finished)
    assert not (place / "runs/demo/.holder").exists()


@pytest.mark.faults
@pytest.mark.parametrize("point_number", points(1, 20))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_and_the_same_command_continues(  # noqa: PLR0917 - fixtures
    charter: Command, place: Path, start: Start, finished: Path, number: signal.Signals, point_number: int
) -> None:
    """A signal stops a run within ten seconds; a rerun completes it, and it is the run it would have been."""
    with point(f"{number.name} once", f"{moment(point_number):.2f} s into revise") as tried:
        running = start("run", "demo.yaml", wait=SLOWLY)
        wait_for(lambda: has_journal(place), running)
        time.sleep(moment(point_number))
        began = time.monotonic()
        running.send_signal(number)
        out, err = running.communicate(timeout=20)
        seconds = time.monotonic() - began
        assert seconds < 10
        assert running.returncode == 128 + number, err
        assert out == ""
        assert "the same command continues the run" in err
        assert "Traceback" not in err
        assert not (place / "runs/demo/.holder").exists()
        goes_on(charter, place, finished)
        tried.outcome = f"held: stopped within {math.ceil(seconds)} s"


@pytest.mark.faults
@pytest.mark.parametrize("point_number", points(1, 20))
def test_second_signal_stops_at_once(
    charter: Command, place: Path, start: Start, finished: Path, point_number: int
) -> None:
    """Where a step cannot be given up, a second signal ends it; the stage was begun, though no row of it ended."""
    with point("SIGINT twice", f"{moment(point_number):.2f} s into revise") as tried:
        running = start("run", "demo.yaml", wait=STUCK)
        wait_for(lambda: has_journal(place), running)
        time.sleep(moment(point_number))
        running.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert running.poll() is None
        began = time.monotonic()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
        seconds = time.monotonic() - began
        assert seconds < 10
        assert running.returncode == 130
        assert "stopped at once" in err
        states = {one["stage"]: one["state"] for one in charter("status", "runs/demo", "--json").value["stages"]}
        assert (states["prompts"], states["revise"], states["sft"]) == ("done", "interrupted", "waiting")
        goes_on(charter, place, finished)
        tried.outcome = f"held: stopped within {math.ceil(seconds)} s"


@pytest.mark.faults
@pytest.mark.parametrize("point_number", points(1, 20))
def test_a_pipe_that_nobody_reads_any_more(
    charter: Command, place: Path, start: Start, finished: Path, point_number: int
) -> None:
    """Whoever read the results, or the progress, or both has gone: the run ends, and is whole or gone on with."""
    closed = ("results", "progress", "both")[point_number % 3]
    with point("closed pipe", f"{closed}, {moment(point_number):.2f} s into revise") as tried:
        running = start("run", "demo.yaml", wait=SLOWLY)
        assert running.stdout is not None
        assert running.stderr is not None
        wait_for(lambda: has_journal(place), running)
        time.sleep(moment(point_number))
        if closed != "progress":
            running.stdout.close()
        if closed != "results":
            running.stderr.close()
        kept = running.stderr.read() if closed == "results" else ""
        code = running.wait(timeout=120)
        assert code == (0 if closed == "progress" else 141), kept
        assert "Traceback" not in kept
        assert (place / "runs/demo/report.html").exists(), "the run itself went on to its end"
        goes_on(charter, place, finished)
        tried.outcome = f"held: {closed}, exit code {code}"
        for pipe in (running.stdout, running.stderr):
            pipe.close()


@pytest.mark.slow
def test_a_step_that_takes_too_long_is_ended(charter: Command, place: Path, start: Start) -> None:
    """One signal is enough even where a step cannot be given up: ten seconds at most."""
    running = start("run", "demo.yaml", wait=STUCK)
    wait_for(lambda: has_journal(place), running)
    time.sleep(0.5)
    began = time.monotonic()
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=20)
    assert time.monotonic() - began < 10
    assert running.returncode == 143
    assert charter("run", "demo.yaml").code == 0


def test_second_process_on_the_folder_is_refused(charter: Command, place: Path, start: Start) -> None:
    """While a run is under way nobody else runs in its folder, and ``status`` says who does."""
    running = start("run", "demo.yaml", wait=SLOWLY)
    try:
        wait_for(lambda: has_journal(place), running)
        refused = charter("run", "demo.yaml")
        status = charter("status", "runs/demo", "--json")
    finally:
        running.kill()
        running.communicate()
    assert refused.code == 2
    assert f"process {running.pid} on {platform.node()} is running on this folder" in refused.err
    assert status.code == 0
    assert status.value["holder"] == f"process {running.pid} on {platform.node()}"
    assert {stage["stage"]: stage["state"] for stage in status.value["stages"]}["revise"] == "running"


def test_killed_run_goes_on(charter: Command, place: Path, start: Start, finished: Path) -> None:
    """A process that was killed leaves nothing in the way: the same command completes the run."""
    running = start("run", "demo.yaml", wait="await asyncio.sleep(0.1)")
    wait_for(lambda: has_journal(place), running)
    time.sleep(1.0)
    running.kill()
    running.communicate()
    assert (place / "runs/demo/.holder").exists()
    assert charter("status", "runs/demo", "--json").value["holder"] == ""
    assert charter("run", "demo.yaml").code == 0
    name = "data/traces.parquet"
    assert (place / "runs/demo" / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("out", [(), ("--out", "kept")])
def test_a_measurement_says_whether_it_goes_on(
    place: Path, start: Start, out: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --out nothing is kept, nothing says otherwise, and nothing is left behind."""
    (place / "passing").mkdir()
    monkeypatch.setenv("TMPDIR", str(place / "passing"))
    flags = ("-m", "demo", "--engine", "scripted", "--max-tokens", "20", "-w", "persona", "--json")
    running = start("evaluate", "attacks", *flags, *out, wait=f"open('asked', 'w').close(); {SLOWLY}")
    wait_for((place / "asked").exists, running)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 143, err
    assert ("the same command continues the run" in err) is bool(out)
    assert ("run the same command again to continue" in err) is bool(out)
    assert ("stopping; nothing is kept, and the same command begins anew: with --out FOLDER" in err) is not bool(out)
    assert (place / "kept/attacks.json.journal").exists() is bool(out)
    assert not list((place / "passing").iterdir())
