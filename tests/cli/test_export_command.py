from __future__ import annotations

from pathlib import Path

from cli.command import Command


def test_export_prints_files_losses_and_the_folder(charter: Command, finished: Path, tmp_path: Path) -> None:
    """The last line is the folder; what the layout has no place for is named."""
    done = charter("export", finished, tmp_path / "out", "--format", "trl", "--what", "preferences")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split() == ["file", "rows"]
    assert lines[1].startswith("preferences.jsonl")
    assert "preferences: no place for" in done.out
    assert "p_chosen" in done.out
    assert lines[-1] == str(tmp_path / "out")


def test_export_speaks_json(charter: Command, finished: Path, tmp_path: Path) -> None:
    """One value with everything that was written, lost and left out."""
    value = charter("export", finished, tmp_path / "out", "--format", "answer-improvement", "--raw", "--json").value
    assert set(value["files"]) == {"prompts.csv", "sft.csv", "preferences.csv"}
    assert value["template"] == "ChatML"
    assert (tmp_path / "out" / "sft.csv").exists()


def test_wrong_formats_and_rows_are_refused(charter: Command, finished: Path, tmp_path: Path) -> None:
    """A mistyped format is the person's to mend, and so is a folder that is there."""
    assert charter("export", finished, tmp_path / "out", "--format", "tlr").code == 2
    assert "trl" in charter("export", "--help").out
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    refused = charter("export", finished, tmp_path / "full", "--format", "trl")
    assert (refused.code, "is not empty" in refused.err) == (2, True)
