"""Runs that write their own prompts: what is planned of the calls, and what is refused before and after them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charter.errors import PromptError, RecipeError
from charter.planning.preflight import check_recipe
from run_examples import small_recipe, small_run

WRITTEN = (
    "prompts.red_team=generated",
    "prompts.benign_twin=generated",
    "prompts.helpful=generated",
    "prompts.generate.form=labelled",
    "prompts.generate.n_per_principle=2",
    "prompts.generate.n_helpful=12",
)


def test_every_kind_can_be_written_and_is_planned(tmp_path: Path) -> None:
    """A call, and one more for an answer that is malformed, for each brief: a run makes no more, and asks no more."""
    overrides = (*WRITTEN, "prompts.n_evaluation=1", "prompts.n_evaluation_helpful=1", "prompts.generate.per_call=1")
    report = check_recipe(small_recipe(tmp_path, *overrides), tmp_path / "run")
    assert report.errors == []
    assert report.plan is not None
    planned = report.plan.stage("prompts")
    run = small_run(tmp_path, ["prompts"], *overrides)
    usage = json.loads((run / "stages/prompts.json").read_text("utf-8"))["usage"].values()
    n_principles = 18
    written = (run / "data/written.jsonl").read_text("utf-8").split("\n")[:-1]
    assert {json.loads(row)["kind"] for row in written} == {"red_team", "benign_twin", "helpful"}
    assert planned.calls == 2 * (2 * n_principles + 12)
    assert planned.calls / 2 <= sum(one["n_calls"] for one in usage) <= planned.calls
    assert planned.prompt_tokens > 0 < planned.completion_tokens


def test_keys_of_files_are_refused(tmp_path: Path) -> None:
    """What says how a file is read would do nothing, and says so."""
    with pytest.raises(RecipeError, match=r"'prompts\.red_team\.limit' says how a file is read"):
        small_recipe(tmp_path, "prompts.red_team={source: generated, limit: 5}")


def test_a_missing_file_of_axes_is_told_before_the_run(tmp_path: Path) -> None:
    """The files that say how prompts are written are read in the check."""
    recipe = small_recipe(tmp_path, *WRITTEN, f"prompts.generate.axes={tmp_path / 'axes.yaml'}")
    assert [one.about for one in check_recipe(recipe, tmp_path / "run").errors] == ["prompts.generate"]


def test_a_run_stops_where_too_little_was_written(tmp_path: Path) -> None:
    """With no red-team prompt left to train on, nothing goes on to train on nothing."""
    with pytest.raises(PromptError, match=r"none is left to train on|are to be held out of"):
        small_run(tmp_path, ["prompts"], *WRITTEN, "prompts.n_evaluation=30")
