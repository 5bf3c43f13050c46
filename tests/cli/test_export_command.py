from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

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


def test_options_of_rows_and_of_models_are_told_apart(charter: Command, finished: Path, tmp_path: Path) -> None:
    """What belongs to another format is named, and a scripted run has no model to give."""
    for options, why in (
        (("--format", "gguf", "--what", "sft"), "--what belongs to layouts of rows, and --format is gguf"),
        (("--format", "merged", "--raw"), "--raw belongs to layouts of rows"),
        (("--format", "trl", "--model", "sft"), "--model belongs to merged and gguf, and --format is trl"),
        (("--format", "merged", "--dtype", "f16"), "--dtype belongs to gguf"),
        (("--format", "trl", "--check"), "--check belongs to gguf"),
        (
            (
                "--format",
                "merged",
            ),
            "there is no model of stage 'dpo'",
        ),
    ):
        refused = charter("export", finished, tmp_path / "out", *options)
        assert (refused.code, why in refused.err) == (2, True), refused.err
    assert not (tmp_path / "out").exists()


@pytest.mark.model
def test_a_model_is_exported_with_what_llama_cpp_makes_of_it(
    charter: Command, finished: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """As a table and as JSON: the file, its bytes, its numbers, and how far llama.cpp agrees."""
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    summary = json.loads((run / "stages/dpo.json").read_text("utf-8"))
    summary["training"] |= {"skipped": ""}
    (run / "stages/dpo.json").write_text(json.dumps(summary), "utf-8")
    shutil.copytree(tiny_model, run / "models/dpo")
    done = charter("export", run, tmp_path / "tiny.gguf", "--format", "gguf", "--dtype", "bf16", "--check")
    assert done.code == 0, done.err
    size = (tmp_path / "tiny.gguf").stat().st_size
    lines = done.out.splitlines()
    assert lines[1].split() == ["tiny.gguf", f"{size:,}"]
    assert lines[2] == "the model of dpo, its numbers in bf16"
    assert lines[3].startswith("llama.cpp agrees: 8 conversations are rendered the same, 8 texts are the same tokens")
    assert lines[3].endswith("(n 160)")
    value = charter("export", run, tmp_path / "merged", "--format", "merged", "--json").value
    assert (value["stage"], value["agreement"]) == ("dpo", None)
    assert set(value["files"]) == {path.name for path in (tmp_path / "merged").iterdir()}
