"""Runs that need not do every stage: what a recipe leaves out is done, listed, planned and asked for nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charter.cli import main
from charter.errors import RecipeError
from charter.planning.preflight import check_recipe
from charter.recipe.stages import STAGE_NAMES, stages_of, stages_to_do
from charter.sharding.bringing import stages_for_shards
from charter.stages import STAGES
from charter.status import read_status
from run_examples import page_words, small_recipe, small_run

BOTH = ("preference_model={}",)
NEITHER = ("dpo=null",)
INSTEAD = ("preference_model={}", "dpo=null")
PAPER = ("preference_model={}", "dpo=null", "rl={}")


@pytest.mark.parametrize(
    ("overrides", "left_out"),
    [
        ((), {"preference_model", "rl"}),
        (BOTH, {"rl"}),
        (NEITHER, {"preference_model", "dpo", "rl"}),
        (INSTEAD, {"dpo", "rl"}),
        (PAPER, {"dpo"}),
    ],
)
def test_a_recipe_does_the_stages_that_have_a_section(
    tmp_path: Path, overrides: tuple[str, ...], left_out: set[str]
) -> None:
    """In the order of all, whichever are left out; so are the plan's."""
    recipe = small_recipe(tmp_path, *overrides)
    expected = [name for name in STAGE_NAMES if name not in left_out]
    assert list(stages_of(recipe)) == stages_to_do(recipe, STAGE_NAMES) == expected
    assert tuple(STAGES) == STAGE_NAMES
    plan = check_recipe(recipe, tmp_path / "run").plan
    assert plan is not None
    assert [stage.stage for stage in plan.stages] == expected


def test_a_run_with_a_preference_model_in_the_place_of_dpo(tmp_path: Path) -> None:
    """Its stages are done and shown, DPO is nowhere: not in the folder, the status, the figures or the page's gaps."""
    run = small_run(tmp_path, STAGE_NAMES, *INSTEAD)
    done = [name for name in STAGE_NAMES if name not in {"dpo", "rl"}]
    assert {path.stem for path in (run / "stages").iterdir()} == set(done)
    status = read_status(run)
    assert [(stage.stage, stage.state) for stage in status.stages] == [(name, "done") for name in done]
    assert status.next_step.startswith("read ")
    assert json.loads((run / "evaluation.json").read_text("utf-8"))["models"] == ["base", "sft"]
    told = json.loads((run / "stages/preference_model.json").read_text("utf-8"))
    assert told["n_in"] == told["n_done"] + sum(told["filtered"].values()) > 0
    text = page_words(run / "report.html")
    assert "This run is not finished" not in text
    assert "dpo: not" not in text
    assert stages_for_shards(run) == []


def test_a_default_run_says_nothing_of_a_preference_model(tmp_path: Path) -> None:
    """Who asks for none hears of none, in a run that is done and in one that is not."""
    run = small_run(tmp_path, ["prompts", "revise"])
    assert "preference_model" not in [stage.stage for stage in read_status(run).stages]
    run = small_run(tmp_path, STAGE_NAMES)
    words = page_words(run / "report.html").replace("preference_model: null", "")
    assert "preference_model" not in words
    assert "Preference model" not in words


def test_a_stage_that_is_not_done_cannot_be_asked_for(tmp_path: Path) -> None:
    """The error names the key that says so; stages that lead to another are passed over."""
    small_run(tmp_path, ["prompts", "revise", "sft", "pairs", "label"])
    with pytest.raises(RecipeError, match=r"'preference_model' is null there; set preference_model=\{\}"):
        small_run(tmp_path, ["label", "preference_model"])
    with pytest.raises(RecipeError, match=r"'rl' is null there; set rl=\{\}, with preference_model=\{\} or"):
        small_run(tmp_path, ["label", "rl"])
    run = small_run(tmp_path, ["label", "preference_model", "dpo"])
    assert (run / "stages/dpo.json").exists()


def test_the_commands_go_by_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``charter dpo`` and ``--until dpo`` of a recipe without DPO say which key to set; its own verb does the other."""
    small_recipe(tmp_path)
    monkeypatch.chdir(tmp_path)

    def charter(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "small.yaml", *INSTEAD, "--out", "run"])
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().err

    for arguments in (("dpo",), ("run", "--until", "dpo"), ("run", "--shard", "1/2", "--until", "dpo")):
        code, said = charter(*arguments)
        assert code != 0
        assert "'dpo' is null there; set dpo={}" in " ".join(said.split())
    assert not (tmp_path / "run").exists()
    assert charter("run", "--until", "label")[0] == 0
    assert charter("preference-model")[0] == 0
    assert (tmp_path / "run/stages/preference_model.json").exists()
    assert charter("run")[0] == 0
    assert not (tmp_path / "run/stages/dpo.json").exists()


def test_what_is_damaged_names_the_command(tmp_path: Path) -> None:
    """The verb has a hyphen where the stage has an underscore."""
    run = small_run(tmp_path, STAGE_NAMES, *BOTH)
    (run / "data/rewards.parquet").unlink()
    (found,) = read_status(run).damage
    assert found.stage == "preference_model"
    assert "charter preference-model" in found.remedy


def test_the_plan_counts_the_training(tmp_path: Path) -> None:
    """It reads what DPO trains on and no reference; without DPO one model less is measured."""
    plans = {}
    for name, overrides in (("both", BOTH), ("instead", INSTEAD)):
        plan = check_recipe(small_recipe(tmp_path, *overrides), tmp_path / "run").plan
        assert plan is not None
        plans[name] = plan
    rewarded, dpo = (plans["both"].stage(name) for name in ("preference_model", "dpo"))
    assert rewarded.trained_tokens == dpo.trained_tokens > 0
    assert 0 < rewarded.demand.training.reference < dpo.demand.training.reference
    assert rewarded.demand.training.scored == 0 < dpo.demand.training.scored
    calls = [plan.stage("evaluate").calls for plan in plans.values()]
    assert calls[1] < calls[0]
