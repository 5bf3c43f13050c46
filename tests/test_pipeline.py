from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from charter.errors import Interrupted, RunError
from charter.pipeline import forget, run_stages
from charter.runs.folder import open_run
from charter.stages import STAGES
from run_examples import RECIPE, small_recipe, small_run


def test_a_stage_without_its_input_is_refused(tmp_path: Path) -> None:
    """What a stage reads must be there; the file is named."""
    with pytest.raises(RunError, match=r"traces\.parquet: is missing; stage 'sft' reads it"):
        small_run(tmp_path, ["prompts", "sft"])


def test_a_done_stage_is_passed_over(tmp_path: Path) -> None:
    """A second call does not touch what is done."""
    run = small_run(tmp_path, ["prompts", "revise"])
    before = (run / "stages/revise.json").stat().st_mtime_ns
    small_run(tmp_path, ["prompts", "revise"])
    assert (run / "stages/revise.json").stat().st_mtime_ns == before


def test_usage_is_a_summarys_part(tmp_path: Path) -> None:
    """A summary counts calls by model, in all and by kind."""
    run = small_run(tmp_path, ["prompts", "revise"])
    usage = json.loads((run / "stages/revise.json").read_text("utf-8"))["usage"]["small"]
    assert usage["n_calls"] == 6 * 5
    assert usage["n_cached"] == 0
    assert usage["kinds"]["complete"]["n_calls"] == 6 * 5
    assert usage["n_prompt_tokens"] > usage["n_completion_tokens"] > 0


def test_stop_before_a_stage(tmp_path: Path) -> None:
    """A run that is told to stop begins no further stage."""
    stop = threading.Event()
    stop.set()
    recipe = small_recipe(tmp_path)
    with open_run(recipe, tmp_path / "run", recipe_text=RECIPE, stop=stop) as run, pytest.raises(Interrupted):
        run_stages(run, ["prompts"])
    assert not (tmp_path / "run/stages").exists()


def test_what_an_unfinished_stage_left_is_removed_before_it_begins(tmp_path: Path) -> None:
    """A stage stopped between its output and its summary writes its output anew."""
    run = small_run(tmp_path, ["prompts", "revise"])
    (run / "models/sft").mkdir(parents=True)
    (run / "models/sft/half.safetensors").write_bytes(b"half")
    small_run(tmp_path, ["sft"])
    assert not (run / "models/sft").exists()


def test_forgetting_removes_what_came_after(tmp_path: Path) -> None:
    """From the stage on, nothing is left but completions: no file, no summary, no recorded row, no checkpoint."""
    folder = small_run(tmp_path, ["prompts", "revise", "sft", "pairs", "label"])
    (folder / "models/sft.training").mkdir(parents=True)
    with open_run(small_recipe(tmp_path), folder, recipe_text=RECIPE) as run:
        forget(run, "sft")
        assert {path.stem for path in (folder / "stages").iterdir()} == {"prompts", "revise"}
        assert {path.stem for path in (folder / "data").iterdir()} == {"prompts", "traces"}
        assert not (folder / "models/sft.training").exists()
        for stage in run.journal.stages():
            statuses = {end.status for end in run.journal.outcomes(stage).values()}
            assert statuses == ({"done"} if stage == "revise" else {"failed"}), stage


def test_every_file_of_a_stage_is_named(tmp_path: Path) -> None:
    """What the stages say they write is all there is, so that forgetting forgets all."""
    names = [name for name in STAGES if name != "report"]
    folder = small_run(tmp_path, names)
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    named = {path for name in names for path in (*STAGES[name].writes, f"stages/{name}.json")}
    own = {"recipe.yaml", "recipe.resolved.yaml", "inputs.json", "environment.json", ".lock"}
    own |= {"constitution.yaml", "constitution.helpful.yaml"}
    assert {path for path in written - named - own if not path.startswith("journal.sqlite")} == set()


def test_a_stage_done_ahead_is_done_again(tmp_path: Path) -> None:
    """An evaluation before there was anything trained does not stand for the one after it."""
    ahead = small_run(tmp_path / "ahead", ["prompts", "evaluate"])
    small_run(tmp_path / "ahead", list(STAGES))
    plain = small_run(tmp_path / "plain", list(STAGES))
    assert (ahead / "evaluation.json").read_bytes() == (plain / "evaluation.json").read_bytes()
