from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from charter.engines.base import Choice, ChoiceRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import EngineError
from charter.journal.store import Journal
from charter.recipe.stages import STAGE_NAMES
from cli.command import Command
from run_examples import SMALL_STAGES


def summary(run: Path, stage: str) -> Any:
    """Read a stage's summary."""
    return json.loads((run / "stages" / f"{stage}.json").read_text("utf-8"))


def n_calls(run: Path) -> int:
    """How many calls the stages' summaries count."""
    found = [json.loads(path.read_text("utf-8"))["usage"] for path in (run / "stages").iterdir()]
    return sum(used["n_calls"] for usage in found for used in usage.values())


def test_whole_run_ends_with_its_folder(charter: Command, place: Path) -> None:
    """A run on the scripted engine does every stage; the last line is the folder and nothing else."""
    done = charter("run", "demo.yaml")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "runs/demo"
    assert sorted(path.stem for path in (place / "runs/demo/stages").iterdir()) == sorted(SMALL_STAGES)
    assert (place / "runs/demo/report.html").exists()
    assert "Over-refusal on benign twins" in done.out
    assert "Traceback" not in done.err


def test_json_is_one_object(charter: Command) -> None:
    """With --json stdout is one object: run, stages, measurements."""
    done = charter("run", "demo.yaml", "--json")
    assert done.code == 0
    assert set(done.value) == {"run", "stages", "measurements"}
    assert done.value["run"] == "runs/demo"
    assert list(done.value["stages"]) == list(SMALL_STAGES)
    assert {one["model"] for one in done.value["measurements"]} == {"base", "sft", "dpo"}


def test_out_names_the_folder_verbatim(charter: Command, place: Path) -> None:
    """--out is where the run goes, whatever characters it has, and what the last line says."""
    out = place / "a folder [bold]with markup[/bold]"
    done = charter("run", "demo.yaml", "--out", out, "--until", "prompts")
    assert done.code == 0
    assert done.out.splitlines()[-1] == str(out)
    assert (out / "data/prompts.parquet").exists()


def test_until_stops_after_a_stage(charter: Command, place: Path) -> None:
    """--until does no stage after the one named; the next command goes on from there."""
    assert charter("run", "demo.yaml", "--until", "revise").code == 0
    assert {path.stem for path in (place / "runs/demo/stages").iterdir()} == {"prompts", "revise"}
    again = charter("run", "demo.yaml", "--until", "sft")
    assert "done before: prompts, revise" in again.err
    assert again.code == 0


def test_a_run_whose_labels_are_all_left_out_says_so(charter: Command) -> None:
    """Nothing is left to train on: that is no training of nothing, and the least margin is named."""
    done = charter("run", "demo.yaml", "label.min_margin=0.49", "label.on_low_margin=drop")
    assert done.code == 2
    assert "none to train on" in done.err
    assert "lower label.min_margin" in done.err


def test_second_run_asks_nothing(charter: Command, place: Path) -> None:
    """A finished run is passed over: no stage is done again, and the same figures are printed."""
    first = charter("run", "demo.yaml")
    before = {path: path.stat().st_mtime_ns for path in (place / "runs/demo/stages").iterdir()}
    second = charter("run", "demo.yaml")
    assert {path: path.stat().st_mtime_ns for path in (place / "runs/demo/stages").iterdir()} == before
    assert second.out == first.out


def test_overrides_reach_the_stages(charter: Command, place: Path) -> None:
    """key=value settings change what is done."""
    done = charter("run", "demo.yaml", "revise.rounds=1", "revise.n_samples=2", "--until", "revise")
    assert done.code == 0
    assert summary(place / "runs/demo", "revise")["n_done"] == 12
    assert n_calls(place / "runs/demo") == 12 * 3


def test_bare_name_is_looked_up_in_recipes(charter: Command, place: Path) -> None:
    """A name without a suffix is a recipe of the folder ``recipes``."""
    (place / "recipes").mkdir()
    (place / "demo.yaml").rename(place / "recipes/small.yaml")
    assert charter("run", "small", "--until", "prompts").code == 0
    assert charter("check", "small").code == 0


def test_built_in_recipes_run_by_name(charter: Command, place: Path) -> None:
    """A recipe that comes with Charter is found from any folder; a folder of its name is none."""
    (place / "smoke").mkdir()
    scripted = ("models.policy={name: x, engine: scripted}", "--until", "prompts")
    done = charter("run", "smoke", *scripted)
    assert done.code == 0, done.err
    assert summary(place / "runs/smoke", "prompts")["counts"]["train red_team"] == 12


def test_built_in_recipes_are_listed(charter: Command, place: Path) -> None:
    """The help and the error for a name that is none tell the names."""
    from charter.recipe import built_in_recipes

    names = ", ".join(built_in_recipes())
    assert names
    (place / "mine").mkdir()
    for verb in ("run", "check"):
        assert names in " ".join(charter(verb, "--help").out.split())
        for given, said in (("smok", "did you mean 'smoke'?"), ("none.yaml", "no such file"), ("mine", "is a folder")):
            done = charter(verb, given)
            assert done.code == 2
            assert done.err.startswith(f"error: {given}: ")
            assert names in done.err
            assert said in done.err


def test_resolved_recipe_continues_a_run(charter: Command) -> None:
    """What ``status`` advises works: the resolved recipe, overrides and all, continues the run."""
    assert charter("run", "demo.yaml", "revise.rounds=1", "--until", "prompts").code == 0
    done = charter("run", "runs/demo/recipe.resolved.yaml", "--out", "runs/demo", "--until", "revise")
    assert done.code == 0, done.err
    assert "done before: prompts" in done.err


@pytest.mark.parametrize("stage", ["revise", "sft", "pairs", "label", "dpo", "evaluate"])
def test_stage_without_its_input_is_refused(charter: Command, place: Path, stage: str) -> None:
    """A stage alone says which file it lacks; revise and evaluate need the prompts alone, which it brings."""
    done = charter(stage, "demo.yaml")
    if stage in {"revise", "evaluate"}:
        assert done.code == 0
        assert done.out.splitlines()[-1] == "runs/demo"
    else:
        assert done.code == 2
        assert "is missing; stage" in done.err
    assert (place / "runs/demo/stages/prompts.json").exists()


def test_stages_one_by_one_make_the_whole_run(charter: Command, place: Path) -> None:
    """Stage after stage gives the very rows of one run."""
    assert charter("run", "demo.yaml", "--out", "whole").code == 0
    for stage in ("revise", "sft", "pairs", "label", "dpo", "evaluate"):
        assert charter(stage, "demo.yaml", "--out", "steps").code == 0
    for table in ("traces", "sft", "pairs", "preferences", "responses", "comparisons"):
        name = f"data/{table}.parquet"
        assert (place / "whole" / name).read_bytes() == (place / "steps" / name).read_bytes()


def test_again_redoes_a_stage_and_forgets_later_ones(charter: Command, place: Path, finished: Path) -> None:
    """--again does the one stage; what later stages had done is gone, what earlier ones had stays."""
    run = place / "runs/demo"
    shutil.copytree(finished, run)
    before = (run / "data/pairs.parquet").read_bytes()
    took = summary(run, "pairs")["usage"]["demo+sft"]
    done = charter("pairs", "demo.yaml", "--again")
    assert done.code == 0, done.err
    assert {path.stem for path in (run / "stages").iterdir()} == {"prompts", "revise", "sft", "pairs"}
    assert (run / "data/pairs.parquet").read_bytes() == before
    assert not (run / "data/preferences.parquet").exists()
    assert not (run / "report.html").exists()
    assert "undone: label, dpo, evaluate, report; 'charter run' does them anew" in done.err
    used = summary(run, "pairs")["usage"]["demo+sft"]
    assert used["n_calls"] == took["n_calls"] > 0  # the total, to which only answers from memory were added
    assert used["n_cached"] > took["n_cached"]


def test_a_stage_alone_leaves_failed_rows_and_later_stages(
    charter: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a finished run a stage's command deletes nothing unless --again is given; ``run`` tries the rows again."""
    choose = ScriptedEngine.choose

    async def fails_at_times(engine: ScriptedEngine, request: ChoiceRequest) -> Choice:
        if int(request.key("x")[:8], 16) % 40 == 0:
            raise EngineError("no answer")
        return await choose(engine, request)

    with monkeypatch.context() as patch:
        patch.setattr(ScriptedEngine, "choose", fails_at_times)
        assert charter("run", "demo.yaml").code == 0
    run = place / "runs/demo"
    assert summary(run, "label")["failed_rows"]
    before = {path: path.read_bytes() for path in (*run.glob("stages/*"), *run.glob("data/*"), run / "report.html")}
    alone = charter("label", "demo.yaml")
    assert alone.code == 0, alone.err
    assert "--again" in alone.err
    assert "undone" not in alone.err
    assert {path: path.read_bytes() for path in before} == before
    short = charter("run", "demo.yaml", "--until", "label")
    assert "undone: dpo, evaluate, report" in short.err
    assert summary(run, "label")["failed_rows"] == []
    assert charter("run", "demo.yaml").code == 0
    assert (run / "report.html").exists()


def test_again_forgets_the_later_stages_rows(charter: Command, place: Path, finished: Path) -> None:
    """A row that a later stage recorded before is done anew: it may have come from what was there before."""
    run = place / "runs/demo"
    shutil.copytree(finished, run)
    charter("revise", "demo.yaml", "--again")
    with Journal(run / "journal.sqlite") as journal:
        assert {end.status for end in journal.outcomes("revise").values()} == {"done"}
        for stage in ("sft/helpful", "pairs", "label", "evaluate/respond/base"):
            assert {end.status for end in journal.outcomes(stage).values()} == {"failed"}
    assert charter("run", "demo.yaml").code == 0
    for table in ("traces", "pairs", "preferences", "responses"):
        name = f"data/{table}.parquet"
        assert (run / name).read_bytes() == (finished / name).read_bytes()


def test_the_last_stage_may_be_any(charter: Command, place: Path) -> None:
    """The help names every stage that there is, and what is none is refused with those of the recipe."""
    from charter.stages import STAGES

    assert tuple(STAGES) == STAGE_NAMES
    told = " ".join(charter("run", "--help").out.split())
    assert all(name in told for name in STAGE_NAMES)
    done = charter("run", "demo.yaml", "--until", "nothing")
    assert done.code != 0
    assert "there is no stage 'nothing'; this recipe does prompts, revise" in " ".join(done.err.split())
    assert not (place / "runs/demo").exists()


def test_a_model_is_said_to_be_loaded_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first minute of silence the model is named, but not where one JSON value is wanted."""
    from charter.cli.running import _loads_first, saying_loading
    from charter.recipe import load_recipe

    say = saying_loading(quiet=False)
    for name in ("one", "two", "one"):
        say(name)
    assert capsys.readouterr().err == "loading one\nloading two\n"
    saying_loading(quiet=True)("one")
    assert capsys.readouterr().err == ""
    scripted = load_recipe(place / "demo.yaml")
    real = load_recipe(place / "demo.yaml", ["models.policy=smollm2-135m"])
    (place / "run/stages").mkdir(parents=True)
    assert _loads_first(real, place / "run", STAGE_NAMES, None)
    assert not _loads_first(scripted, place / "run", STAGE_NAMES, None)
    for name in STAGE_NAMES:
        (place / f"run/stages/{name}.json").touch()
    assert not _loads_first(real, place / "run", STAGE_NAMES, None)
    assert _loads_first(real, place / "run", STAGE_NAMES, "sft")
    assert not _loads_first(real, place / "run", STAGE_NAMES, "label")  # which loads the judge


def test_a_stage_in_a_new_folder_names_the_commands_before_it(charter: Command) -> None:
    """Whoever begins in the middle reads what to type."""
    done = charter("pairs", "demo.yaml", "--out", "new")
    assert done.code == 2
    target = "new/recipe.resolved.yaml --out new"
    assert done.err.endswith(f"Do first:\n  charter revise {target}\n  charter sft {target}\n")
