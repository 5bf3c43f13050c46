"""Runs on what a user brought: a country's red-team prompts, revisions and pairs, each accounted for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charter.errors import RunError
from charter.files.tables import read_table
from charter.pipeline import run_stages
from charter.planning.preflight import check_recipe
from charter.prompts.grouping import normalise_text
from charter.recipe import Recipe, load_recipe
from charter.records import Pair, Preference, Probed, Prompt, SftRow, Trace
from charter.runs.folder import open_run

N_PRINCIPLES, N_EACH = 3, 4
STAGES = ("prompts", "revise", "sft", "pairs", "label", "dpo", "evaluate", "report")
RECIPE = """\
name: small
constitution: harmless
models: {policy: {name: small, engine: scripted}}
data_dir: data
prompts: {benign_twin: null, helpful: {source: built-in, limit: 20}, n_evaluation: 3, n_evaluation_helpful: 4}
revise: {n_samples: 0}
pairs: {n: 0}
evaluate: {head_to_head: [], probes: [{constitution: own.yaml, source: data/red_team.json}]}
"""
OWN = "name: own\nprinciples:\n" + "".join(
    f"  - {{id: p{number}, text: Keep to rule {number}.}}\n" for number in range(N_PRINCIPLES)
)


def _key(number: int) -> tuple[int, int]:
    return divmod(number, N_EACH)


def _data(folder: Path) -> Path:
    """Write a country's three files: of every prompt a revision, and a pair whose chosen answer is the longer."""
    data = folder / "data"
    data.mkdir(parents=True)
    prompts = [f"Why is thing number {number} of the {'abc'[_key(number)[0]]} sort so?" for number in range(12)]
    red_team: dict[str, list[dict[str, str]]] = {}
    sft, preferences = {}, {}
    for number, prompt in enumerate(prompts):
        principle, place = _key(number)
        red_team.setdefault(str(principle), []).append(
            {
                "adversarial_prompt": prompt,
                "correct_model_response_to_adversarial_prompt": f"It is so, and rule {principle} says why. {number}",
                "incorrect_model_response_to_adversarial_prompt": f"Nobody cares about number {number} at all.",
            }
        )
        sft[f"{principle}_{place}"] = [
            {
                "initial_prompt": prompt,
                "initial_response": f"Because. {number}",
                "critique_prompt": f"Say whether it keeps to rule {principle}.",
                "critique_response": "It does not.",
                "revision_prompt": f"Rewrite it to keep to rule {principle}.",
                "revision_response": f"Because rule {principle} asks for it, as number {number} shows. Do it kindly.",
            }
        ]
        preferences[f"{principle}_{place}"] = [
            {
                "prompt": prompt,
                "chosen_response": f"Number {number} has a kind answer. It goes on. It goes on for a while longer.",
                "rejected_response": f"Number {number} has a curt answer, no more.",
                "reasoning": "It is kinder.",
            }
        ]
    for name, rows in (("red_team", red_team), ("sft", sft), ("preferences", preferences)):
        (data / f"{name}.json").write_text(json.dumps(rows), "utf-8")
    (folder / "own.yaml").write_text(OWN, "utf-8")
    return data


def _recipe(folder: Path, *overrides: str) -> Recipe:
    if not (folder / "data").exists():
        _data(folder)
    (folder / "small.yaml").write_text(RECIPE, "utf-8")
    return load_recipe(folder / "small.yaml", overrides)


def _run(folder: Path, *overrides: str) -> Path:
    recipe = _recipe(folder, *overrides)
    with open_run(recipe, folder / "run", recipe_text=RECIPE) as run:
        run_stages(run, STAGES)
    return folder / "run"


def test_a_run_trains_on_what_was_given_and_on_nothing_held_out(tmp_path: Path) -> None:
    """Each training prompt has its given trace and pair, with the run's own prompt; the held-out ones have none."""
    run = _run(tmp_path)
    prompts = read_table(run / "data/prompts.parquet", Prompt)
    train = {one.id for one in prompts if (one.kind, one.split) == ("red_team", "train")}
    held_out = [one for one in prompts if (one.kind, one.split) == ("red_team", "evaluation")]
    assert (len(train), len(held_out)) == (9, 3)
    traces = read_table(run / "data/traces.parquet", Trace)
    pairs = read_table(run / "data/pairs.parquet", Pair)
    assert {one.prompt.id for one in traces} == {one.prompt.id for one in pairs} == train
    assert {one.source for one in pairs} == {"given"}
    assert all(len(one.rounds) == 1 and one.rounds[0].revision.startswith("Because rule") for one in traces)
    preferences = read_table(run / "data/preferences.parquet", Preference)
    assert {one.prompt.id for one in preferences} == train
    sft = read_table(run / "data/sft.parquet", SftRow)
    assert {one.prompt.id for one in sft if one.prompt.kind == "red_team"} == train


@pytest.mark.parametrize("stage", ["revise", "pairs"])
def test_every_given_row_is_accounted_for(tmp_path: Path, stage: str) -> None:
    """Rows in are rows done and left out, and the reason is named."""
    run = _run(tmp_path)
    told = json.loads((run / "stages" / f"{stage}.json").read_text("utf-8"))
    assert (told["n_in"], told["n_done"], told["filtered"]) == (12, 9, {"given: its prompt is held out": 3})
    assert told["failed"] == {}


def test_probes_that_were_trained_on_are_left_out(tmp_path: Path) -> None:
    """Of the prompts that are probes too, only the held-out ones are put to the models."""
    run = _run(tmp_path)
    probed = read_table(run / "data/probes.parquet", Probed)
    held_out = {
        normalise_text(one.text)
        for one in read_table(run / "data/prompts.parquet", Prompt)
        if (one.kind, one.split) == ("red_team", "evaluation")
    }
    assert {normalise_text(one.prompt.text) for one in probed} == held_out
    assert {one.prompt.principle for one in probed} <= {"p0", "p1", "p2"}
    told = json.loads((run / "stages" / "evaluate.json").read_text("utf-8"))
    assert told["filtered"]["probes of own: asks what a training prompt asks"] == 9


def test_lengths_are_told_and_balanced_on_request(tmp_path: Path) -> None:
    """The summary says how far length gives the chosen answer away, and balancing takes that out."""
    plain = json.loads((_run(tmp_path / "plain") / "stages/pairs.json").read_text("utf-8"))["counts"]
    assert plain["lengths of given pairs"]["chosen longer"] == 9
    run = _run(tmp_path / "trim", "pairs.balance_lengths=trim")
    trimmed = json.loads((run / "stages/pairs.json").read_text("utf-8"))["counts"]
    after = trimmed["lengths of given pairs, balanced"]
    assert abs(after["chosen longer"] - after["chosen shorter"]) <= 1
    pairs = read_table(run / "data/pairs.parquet", Pair)
    assert any(not (one.whole_a and one.whole_b) for one in pairs)


def test_prompts_without_a_given_trace_are_revised(tmp_path: Path) -> None:
    """Where the recipe asks for samples, a model revises the prompts that nobody did, and only those."""
    recipe = _recipe(tmp_path, "revise.n_samples=2")
    sft = json.loads((tmp_path / "data/sft.json").read_text("utf-8"))
    (tmp_path / "data/sft.json").write_text(json.dumps(dict(list(sft.items())[:6])), "utf-8")
    with open_run(recipe, tmp_path / "run", recipe_text=RECIPE) as run:
        run_stages(run, ["prompts", "revise"])
    traces = read_table(tmp_path / "run/data/traces.parquet", Trace)
    per_prompt = {one.prompt.id: [each for each in traces if each.prompt.id == one.prompt.id] for one in traces}
    assert len(per_prompt) == 9
    assert {len(each) for each in per_prompt.values()} == {1, 2}
    assert all(len(one.rounds) == 2 for each in per_prompt.values() if len(each) == 2 for one in each)


def test_a_plan_counts_what_the_run_does(tmp_path: Path) -> None:
    """Rows of every stage, with nothing asked of a model where all is given."""
    recipe = _recipe(tmp_path)
    report = check_recipe(recipe, tmp_path / "run")
    assert report.errors == []
    assert report.plan is not None
    run = _run(tmp_path)
    for stage in report.plan.stages[:-1]:
        told = json.loads((run / "stages" / f"{stage.stage}.json").read_text("utf-8"))
        n_calls = sum(one["n_calls"] for one in told["usage"].values())
        if stage.stage in {"revise", "pairs"}:
            assert (stage.rows, stage.calls, n_calls) == (told["n_done"], 0, 0)
        if stage.stage == "label":
            assert stage.calls == n_calls


@pytest.mark.parametrize("name", ["sft.json", "preferences.json", "red_team.json"])
def test_a_given_file_that_changed_is_noticed(tmp_path: Path, name: str) -> None:
    """A run does not go on under other inputs, and says which file is another."""
    _run(tmp_path)
    path = tmp_path / "data" / name
    path.write_text(path.read_text("utf-8").replace("number 1", "number one"), "utf-8")
    with pytest.raises(RunError, match=name.replace(".", r"\.")):
        _run(tmp_path)


def test_what_a_run_made_can_be_given_to_a_like_run(tmp_path: Path) -> None:
    """Its pairs and traces stand beside those that are made of the same prompts, each under a name of its own."""
    made = ("data_dir=null", "revise.n_samples=2", "pairs.n=12", "pairs.kinds={red_team: 0.5, helpful: 0.5}")
    first = _run(tmp_path / "first", *made)
    folder = tmp_path / "second"
    second = _run(
        folder, *made, f"pairs.given={first / 'data/pairs.parquet'}", f"revise.given={first / 'data/traces.parquet'}"
    )
    before, after = (read_table(run / "data/pairs.parquet", Pair) for run in (first, second))
    assert len({one.id for one in after}) == len(after) > len(before)
    assert [(one.prompt, one.a, one.b) for one in after if one.source == "given"] == [
        (one.prompt, one.a, one.b) for one in before
    ]
    traces = [read_table(run / "data/traces.parquet", Trace) for run in (first, second)]
    assert [one.sample for one in traces[0]] == [one.sample for one in traces[1]]
    preferences = read_table(second / "data/preferences.parquet", Preference)
    assert {one.pair for one in preferences} == {one.id for one in after}


def test_so_many_given_rows_are_taken_as_the_recipe_says(tmp_path: Path) -> None:
    """Of those that fit the run; the others are counted, and the plan knows."""
    numbers = ("revise.given.limit=5", "revise.given.seed=1", "pairs.given.limit=4")
    run = _run(tmp_path, *numbers)
    assert len(read_table(run / "data/traces.parquet", Trace)) == 5
    assert len(read_table(run / "data/pairs.parquet", Pair)) == 4
    for stage, n in (("revise", 5), ("pairs", 4)):
        told = json.loads((run / "stages" / f"{stage}.json").read_text("utf-8"))
        left_out = {"given: its prompt is held out": 3, "given: over the limit": 9 - n}
        assert (told["n_in"], told["n_done"], told["filtered"]) == (12, n, left_out)
    plan = check_recipe(_recipe(tmp_path, *numbers), tmp_path / "planned").plan
    assert plan is not None
    assert (plan.stage("revise").rows, plan.stage("pairs").rows) == (5, 4)


def test_given_rows_are_scaled_with_the_recipe(tmp_path: Path) -> None:
    """A limit is a number of rows, as those of prompts are; where there is none, all stay."""
    scaled = _recipe(tmp_path, "revise.given.limit=20", "pairs.given.limit=3", "scale=0.1")
    assert scaled.revise.given is not None
    assert scaled.pairs.given is not None
    assert (scaled.revise.given.limit, scaled.pairs.given.limit) == (2, 1)
    assert _recipe(tmp_path, "revise.given.seed=1", "scale=0.1").revise.given.limit is None


def test_pairs_of_others_are_mixed_into_dpo(tmp_path: Path) -> None:
    """At the ratio, with every row accounted for; the plan knows."""
    _data(tmp_path)
    rows = [{"prompt": f"How is thing {n} mended?", "chosen": f"With glue {n}.", "rejected": "?"} for n in range(9)]
    (tmp_path / "others.json").write_text(json.dumps([*rows, {**rows[0], "chosen": " "}]), "utf-8")
    mixed = ("dpo.helpfulness=others.json", "dpo.helpfulness_ratio=0.5", "label.held_out=0", "label.min_option_mass=0")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        run = _run(tmp_path, *mixed)
        planned = check_recipe(_recipe(tmp_path, *mixed), tmp_path / "planned").plan
    told = json.loads((run / "stages/dpo.json").read_text("utf-8"))
    n_ai = len(read_table(run / "data/preferences.parquet", Preference))
    assert n_ai > 0
    assert told["counts"]["asked for of people"] == told["counts"]["mixed in of people"] == round(0.5 * n_ai)
    assert told["n_in"] == n_ai + 10 == told["n_done"] + sum(told["filtered"].values())
    assert told["filtered"]["helpfulness: empty answer"] == 1
    assert planned is not None
    assert planned.stage("dpo").rows == n_ai + round(0.5 * n_ai)
