"""``charter diff-labels`` on two runs of one recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.command import Command

STAGES = ("--until", "label")


@pytest.fixture
def runs(charter: Command) -> tuple[str, str]:
    """Two runs that differ in what the judge is asked under."""
    for name, more in (("a", ()), ("b", ("label.k_principles=1",))):
        assert charter("run", "demo.yaml", *more, "--out", f"runs/{name}", *STAGES).code == 0
    return "runs/a", "runs/b"


def test_flips_are_shown_with_their_reasons(charter: Command, runs: tuple[str, str]) -> None:
    """All pairs are common; the counts are those of the JSON, row by row."""
    done, told = charter("diff-labels", *runs), charter("diff-labels", *runs, "--json").value
    assert done.code == 0
    assert f"{told['n_common']} pairs are in both runs; 0 pairs are in the first alone" in done.out
    assert f"flipped: {told['n_flipped']}," in done.out
    assert told["n_flipped"] == sum(one["flipped"] for one in told["changed"]) > 0
    assert all("principles" in one["reasons"] for one in told["changed"])
    assert "other principles voted" in done.out
    assert charter("diff-labels", *runs, "--rows", "0").out.count("demo") == 0


def test_a_run_differs_in_nothing_from_itself(charter: Command, runs: tuple[str, str]) -> None:
    """No flip, no shift, no reason."""
    told = charter("diff-labels", runs[0], runs[0], "--json").value
    assert (told["n_flipped"], told["shift"]["value"], told["changed"]) == (0, 0.0, [])


def test_what_is_no_run_with_labels_is_refused(charter: Command, runs: tuple[str, str], place: Path) -> None:
    """With the folder's name, and what to do."""
    (place / "empty").mkdir()
    done = charter("diff-labels", runs[0], "empty")
    assert done.code == 2
    assert "empty" in done.err
    assert charter("run", "demo.yaml", "--out", "runs/c", "--until", "pairs").code == 0
    done = charter("diff-labels", runs[0], "runs/c")
    assert done.code == 2
    assert "preferences.parquet: no such file; run the stage that writes it first" in done.err
