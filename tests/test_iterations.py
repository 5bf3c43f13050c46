"""Runs that make pairs, label and train on them several times: each iteration from the policy of the one before."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from charter.cli import main
from charter.cli import stages as stage_verbs
from charter.errors import Interrupted, RecipeError, RunError
from charter.files.tables import read_table
from charter.lookup import find_row
from charter.pipeline import run_stages
from charter.planning.preflight import check_recipe
from charter.recipe import load_recipe
from charter.recipe.settings import MOST_ITERATIONS
from charter.recipe.stages import (
    ITERATED,
    STAGE_NAMES,
    in_iteration,
    parted,
    policies_of,
    policy_before,
    stages_of,
    verb_of,
)
from charter.records import Pair, Preference
from charter.runs.folder import Run, open_run
from charter.stages import read_by, written_by
from charter.status import read_status
from run_examples import journal_rows, page_words, small_recipe, small_run, table_bytes

TWICE = ("iterations=2",)
PAPER_TWICE = ("iterations=2", "preference_model={}", "dpo=null", "rl={}")
FIRST = ("prompts", "revise", "sft", "pairs", "label", "dpo")
ALL = (*FIRST, "pairs-2", "label-2", "dpo-2", "evaluate", "report")


def test_every_iteration_has_stages_of_its_own(tmp_path: Path) -> None:
    """They stand behind those of the one before, and before the evaluation."""
    assert stages_of(small_recipe(tmp_path, *TWICE)) == ALL
    paper = stages_of(small_recipe(tmp_path, *PAPER_TWICE))
    assert paper[3:7] == ("pairs", "label", "preference_model", "rl")
    assert paper[7:11] == ("pairs-2", "label-2", "preference_model-2", "rl-2")
    assert stages_of(small_recipe(tmp_path)) == tuple(n for n in ALL if not n.endswith("-2"))


def test_the_verbs_of_iterated_stages_take_an_iteration() -> None:
    """The command names them itself, so that its help needs no recipe to be imported."""
    assert set(ITERATED) == stage_verbs._ITERATED


@pytest.mark.parametrize("stage", STAGE_NAMES)
@pytest.mark.parametrize("iteration", [1, 2, 10, MOST_ITERATIONS])
def test_a_name_tells_stage_and_iteration(stage: str, iteration: int) -> None:
    """What one writes the other reads; a stage that is done once has no number."""
    if stage in ITERATED:
        assert parted(in_iteration(stage, iteration)) == (stage, iteration)
    assert parted(stage) == (stage, 1)


@pytest.mark.parametrize("name", ["dpo-1", "dpo-0", "dpo-02", "dpo-100", "sft-2", "dpo-2-2", "dpo-", "-2", "other-2"])
def test_what_is_no_name_of_an_iteration_stays_whole(name: str) -> None:
    """It is no stage at all, and is refused by the name that was given."""
    assert parted(name) == (name, 1)


def test_each_iteration_begins_from_the_policy_before(tmp_path: Path) -> None:
    """From SFT's, then from the last that was trained on feedback."""
    recipe = small_recipe(tmp_path, "iterations=3")
    assert [policy_before(recipe, number) for number in (1, 2, 3)] == ["sft", "dpo", "dpo-2"]
    assert policies_of(recipe) == ("sft", "dpo", "dpo-2", "dpo-3")
    both = small_recipe(tmp_path, "iterations=2", "rl={}", "preference_model={}")
    assert policy_before(both, 2) == "rl"
    assert policies_of(both) == ("sft", "dpo", "rl", "dpo-2", "rl-2")
    assert "stages/rl.json" in read_by(both, "pairs-2")
    assert "stages/sft.json" in read_by(both, "preference_model-2")  # a reward is learnt from the same beginning


def test_rl_reads_what_rewards_it_and_what_it_begins_from(tmp_path: Path) -> None:
    """Where the recipe has it so, in every iteration: the preference model, and DPO's model."""
    paper = small_recipe(tmp_path, *PAPER_TWICE)
    assert set(read_by(paper, "rl")) == {"data/prompts.parquet", "stages/sft.json", "stages/preference_model.json"}
    assert set(read_by(paper, "rl-2")) == {"data/prompts.parquet", "stages/rl.json", "stages/preference_model-2.json"}
    judged = small_recipe(tmp_path, "iterations=2", "rl={start: dpo, rewards: {preference_model: 0, judge: 1}}")
    assert set(read_by(judged, "rl-2")) == {"data/prompts.parquet", "stages/dpo-2.json"}


def test_a_verb_of_rl_says_what_is_to_be_done_first(tmp_path: Path) -> None:
    """By the command that does it, before a model is looked for."""
    small_run(tmp_path, ["prompts", "revise", "sft", "pairs", "label"], "preference_model={}", "rl={}")
    with pytest.raises(RunError, match=r"stage 'rl' reads it. Do first:\n  charter preference-model"):
        small_run(tmp_path, ["prompts", "rl"], "preference_model={}", "rl={}")


def test_paths_are_the_iterations_own() -> None:
    """No iteration writes what another does."""
    for stage in ITERATED:
        paths = [set(written_by(in_iteration(stage, number))) for number in (1, 2, 3)]
        assert paths[0]
        assert not paths[0] & paths[1]
        assert not paths[1] & paths[2]
    assert written_by("preference_model-2") == ("data/rewards-2.parquet", "models/preference_model-2")
    assert verb_of("preference_model-2") == ["preference-model", "--iteration", "2"]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two iterations that nothing interrupted."""
    return small_run(tmp_path_factory.mktemp("twice"), stages_of_all(), *TWICE)


def stages_of_all() -> list[str]:
    """Name the stages of the run."""
    return list(ALL)


def test_a_run_does_all_of_them(twice: Path) -> None:
    """All is there, listed and done; every table has the shape of the first iteration's, and other rows."""
    assert {path.stem for path in (twice / "stages").iterdir()} == set(ALL)
    assert [(one.stage, one.state) for one in read_status(twice).stages] == [(name, "done") for name in ALL]
    first, second = (read_table(twice / f"data/pairs{end}.parquet", Pair) for end in ("", "-2"))
    assert first
    assert second
    assert not {one.id for one in first} & {one.id for one in second}
    labels = read_table(twice / "data/preferences-2.parquet", Preference)
    assert {one.pair for one in labels} <= {one.id for one in second}
    assert json.loads((twice / "evaluation.json").read_text("utf-8"))["models"] == ["base", "sft", "dpo", "dpo-2"]


def test_every_row_of_an_iteration_is_accounted_for(twice: Path) -> None:
    """What went in came out, or has a reason; the journal has the rows under the iteration's name."""
    for name in ("pairs-2", "label-2", "dpo-2"):
        told = json.loads((twice / f"stages/{name}.json").read_text("utf-8"))
        assert told["stage"] == name
        assert told["n_in"] == told["n_done"] + sum(told["filtered"].values()) + sum(told["failed"].values()) > 0
    assert {"pairs-2", "label-2"} <= {stage for stage, *_ in journal_rows(twice)}


def test_the_report_shows_each(twice: Path) -> None:
    """Its counts, its training and its model's figures, and nothing as missing."""
    words = page_words(twice / "report.html")
    assert "DPO training, iteration 2" in words
    assert "label-2" in words
    assert "This run is not finished" not in words
    assert "dpo-2" in words
    labels = [json.loads((twice / f"stages/label{end}.json").read_text("utf-8"))["counts"] for end in ("", "-2")]
    agreed = [
        one["agrees with the source"] / (one["agrees with the source"] + one["disagrees with the source"])
        for one in labels
    ]
    found = re.search(r"Iterations Each iteration .*? DPO, loss (.*?) not trained (.*?) not trained", words)
    assert found is not None
    for row, share in zip(found.groups(), agreed, strict=True):
        assert f"{100 * share:.1f} %" in row


def test_a_row_of_a_later_iteration_is_found(twice: Path) -> None:
    """With its prompt, and beside the rows of the first."""
    pair = read_table(twice / "data/pairs-2.parquet", Pair)[0]
    life = find_row(twice, pair.id)
    assert life.prompt.id == pair.prompt.id
    assert pair.id in {one.id for one in life.pairs}


def test_what_is_held_out_stays_held_out(twice: Path) -> None:
    """A prompt whose preferences one iteration keeps aside is kept aside by the others."""
    recipe = load_recipe(twice / "recipe.resolved.yaml")
    with open_run(recipe, twice, recipe_text="") as run:
        from charter.stages.label import read_preferences

        trained, aside = zip(*(read_preferences(run.at(number)) for number in (1, 2)), strict=True)
    names = [{one.prompt.id for several in side for one in several} for side in (trained, aside)]
    assert names[0]
    assert not names[0] & names[1]


def test_seeds_differ_between_iterations_and_not_between_runs(twice: Path, tmp_path: Path) -> None:
    """The same recipe makes the same tables to the byte."""
    again = small_run(tmp_path, stages_of_all(), *TWICE)
    assert table_bytes(again) == table_bytes(twice)
    recipe = small_recipe(tmp_path, *TWICE)
    with open_run(recipe, again, recipe_text="") as run:
        assert run.at(1) is run
        assert run.seed == recipe.seed
        assert len({run.at(number).seed for number in range(1, 6)}) == 5


def test_no_pair_is_judged_twice(twice: Path) -> None:
    """Chains are made once: their revisions are compared in the first iteration, and it makes as many pairs."""
    first, second = (read_table(twice / f"data/{name}.parquet", Pair) for name in ("pairs", "pairs-2"))
    assert "revision_vs_initial" in {pair.source for pair in first}
    assert "revision_vs_initial" not in {pair.source for pair in second}
    assert not {(pair.prompt.id, pair.a, pair.b) for pair in first} & {(p.prompt.id, p.a, p.b) for p in second}


def test_the_first_iteration_is_what_a_run_without_others_does(twice: Path, tmp_path: Path) -> None:
    """To ask for more changes nothing of it."""
    once = table_bytes(small_run(tmp_path, list(FIRST)))
    assert {name: table_bytes(twice)[name] for name in once} == once


def test_a_stopped_run_goes_on_in_its_iteration(twice: Path, tmp_path: Path) -> None:
    """Stopped between any two stages, it ends with the same tables."""
    for end in range(4, len(ALL)):
        small_run(tmp_path, ALL[:end], *TWICE)
    run = small_run(tmp_path, ALL, *TWICE)
    assert table_bytes(run) == table_bytes(twice)


def test_a_stage_done_again_undoes_those_behind_it(tmp_path: Path) -> None:
    """Of this and later iterations, and none before."""
    run = small_run(tmp_path, stages_of_all(), *TWICE)
    small_run(tmp_path, ["prompts", "pairs-2"], *TWICE, again="pairs-2")
    assert {path.stem for path in (run / "stages").iterdir()} == {*FIRST, "pairs-2"}
    small_run(tmp_path, ["prompts", "dpo"], *TWICE, again="dpo")
    assert {path.stem for path in (run / "stages").iterdir()} == set(FIRST)
    assert not (run / "data/pairs-2.parquet").exists()


def test_a_stage_asks_for_what_comes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the commands that would do it; stages that the recipe has not are named with the key."""
    small_recipe(tmp_path)
    monkeypatch.chdir(tmp_path)

    def charter(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--out", "run"])
        told = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, told.out, " ".join(told.err.split())

    assert charter("run", "small.yaml", *TWICE, "--until", "dpo")[0] == 0
    code, _, said = charter("label", "small.yaml", *TWICE, "--iteration", "2")
    assert code != 0
    assert "charter pairs --iteration 2" in said
    assert charter("pairs", "small.yaml", *TWICE, "--iteration", "2")[0] == 0
    assert charter("label", "small.yaml", *TWICE, "--iteration", "2")[0] == 0
    code, _, said = charter("label", "small.yaml", *TWICE, "--iteration", "3")
    assert code != 0
    assert "'iterations' is 2; set iterations=3" in said
    for last in ("dpo-3", "dpo-1", "sft-2"):
        assert charter("run", "small.yaml", *TWICE, "--until", last)[0] != 0
    assert charter("run", "small.yaml", *TWICE, "--until", "label-2")[0] == 0
    code, told, _ = charter("run", "small.yaml", *TWICE, "--json")
    assert code == 0
    assert list(json.loads(told)["stages"]) == list(ALL)
    code, told, _ = charter("label", "small.yaml", *TWICE, "--iteration", "2", "--without", "x")
    assert code != 0  # no principle of that name voted, on pairs that are there


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("iterations=0",), "iterations"),
        (("iterations=100",), "iterations"),
        (("iterations=2", "dpo=null"), "no iteration would begin from another policy"),
        (("iterations=2", "pairs.n=0", "pairs.given=x.jsonl"), "judged and trained on once"),
        (
            (
                "iterations=2",
                "pairs.kinds={red_team: 1}",
                "pairs.sources={red_team: {revision_vs_initial: 1, on_policy: 0}}",
            ),
            r"'pairs\.sources\.red_team' has revision_vs_initial alone.*no red_team pair; give another source",
        ),
    ],
)
def test_iterations_that_would_do_nothing_are_refused(tmp_path: Path, overrides: tuple[str, ...], said: str) -> None:
    """With the key and the remedy."""
    with pytest.raises(RecipeError, match=said):
        small_recipe(tmp_path, *overrides)


def test_the_plan_has_each(tmp_path: Path) -> None:
    """Later iterations cost what the first does, but that revisions are not compared again; every model is measured."""
    plans = [check_recipe(small_recipe(tmp_path, *more), tmp_path / "run").plan for more in ((), TWICE)]
    once, plan = plans
    assert once is not None
    assert plan is not None
    assert tuple(stage.stage for stage in plan.stages) == ALL
    for name in ("pairs", "label", "dpo"):
        assert plan.stage(name).calls == once.stage(name).calls
        assert plan.stage(in_iteration(name, 2)).rows == plan.stage(name).rows
    n_of_revisions = 2  # of 16 pairs a quarter of a half: both sides of others are sampled, or one is
    assert 0 < plan.stage("pairs-2").calls - plan.stage("pairs").calls <= 2 * n_of_revisions
    assert plan.stage("label-2").calls == plan.stage("label").calls
    assert plan.stage("dpo-2").trained_tokens == pytest.approx(plan.stage("dpo").trained_tokens, rel=0.02)
    assert plan.stage("evaluate").calls > once.stage("evaluate").calls


MODEL_RECIPE = """\
name: tiny
constitution: harmless
iterations: 2
models:
  policy: {{name: {model}, dtype: float32, device: cpu}}
prompts: {{n_train: 8, n_train_helpful: 4, n_evaluation: 2, n_evaluation_helpful: 2}}
revise: {{rounds: 1, n_few_shots: 0, max_tokens: 6, max_critique_tokens: 4, on_cut: open}}
sft: {{helpful_ratio: 0, twin_ratio: 0, batch_size: 4, guard: null, lora: {{r: 4, alpha: 8}}}}
pairs: {{n: 12, kinds: {{red_team: 1.0}}, sources: {{red_team: {{on_policy: 1.0}}}}, max_tokens: 6, on_cut: open}}
label: {{k_principles: 1, n_few_shots: 0, min_option_mass: 0}}
dpo: {{batch_size: 4, learning_rate: 1e-2, guard: null}}
evaluate: {{harm: false, head_to_head: [], max_tokens: 4}}
"""


@contextmanager
def opened(folder: Path, model: Path, stop: threading.Event | None = None) -> Iterator[Run]:
    """Open a run on a real model."""
    text = MODEL_RECIPE.format(model=model)
    (folder / "tiny.yaml").write_text(text)
    with open_run(load_recipe(folder / "tiny.yaml"), folder / "run", recipe_text=text, stop=stop) as run:
        yield run


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two iterations on a real model."""
    folder = tmp_path_factory.mktemp("trained")
    with opened(folder, tiny_model) as run:
        run_stages(run, stages_of(run.recipe))
    return folder / "run"


def _weights(run: Path, name: str) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(run / f"models/{name}/adapter_model.safetensors")


@pytest.mark.model
def test_training_goes_on_from_the_policy_before(trained: Path) -> None:
    """The second adapter is the first's, trained on: its reference gives what the first ends with."""
    from charter.engines.weights import model_fingerprint, resolve_model

    first, second = (_weights(trained, name) for name in ("dpo", "dpo-2"))
    assert first.keys() == second.keys()
    assert any((first[name] != second[name]).any() for name in first)
    told = [path.read_text("utf-8") for path in (trained / "models/dpo-2").glob("*.json")]
    assert any(model_fingerprint(resolve_model(str(trained / "models/dpo"))) in text for text in told)


@pytest.mark.model
def test_later_pairs_are_the_later_policys(trained: Path) -> None:
    """Its answers were asked of the adapter that the first iteration trained."""
    told = json.loads((trained / "stages/pairs-2.json").read_text("utf-8"))
    assert [name for name in told["usage"] if name.endswith("dpo")]
    models = json.loads((trained / "evaluation.json").read_text("utf-8"))["models"]
    assert models == ["base", "sft", "dpo", "dpo-2"]


@pytest.mark.model
def test_a_training_of_a_later_iteration_resumes(trained: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Stopped in its midst, it takes the same steps, but for rounding."""
    stop = threading.Event()
    with opened(tmp_path, tiny_model, stop) as run:
        run_stages(run, stages_of(run.recipe)[: stages_of(run.recipe).index("dpo-2")])
        advance = run.progress.advance

        def advance_and_stop(stage: str, note: str = "") -> None:
            advance(stage, note)
            if stage == "dpo-2 training":
                stop.set()

        run.progress.advance = advance_and_stop  # type: ignore[method-assign]
        with pytest.raises(Interrupted):
            run_stages(run, ["dpo-2"])
    assert (tmp_path / "run/models/dpo-2.training").is_dir()
    with opened(tmp_path, tiny_model) as run:
        run_stages(run, stages_of(run.recipe))
    whole, resumed = (_losses(one) for one in (trained, tmp_path / "run"))
    # Which rows share a pass moves a judge's probability by a rounding error, and the losses with it.
    assert resumed == pytest.approx(whole, abs=1e-5)


def _losses(run: Path) -> list[float]:
    told = json.loads((run / "stages/dpo-2.json").read_text("utf-8"))["training"]
    return [step["loss"] for step in told["steps"]]
