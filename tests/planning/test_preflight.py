from __future__ import annotations

import json
from pathlib import Path

import pytest

from charter.constitution import load_constitution
from charter.errors import UserError
from charter.files.tables import read_table
from charter.planning.preflight import check_inputs, check_recipe
from charter.prompts import load_prompts
from charter.prompts.selection import select_prompts, shown_contexts
from charter.recipe import Recipe
from charter.records import Prompt, PromptKind
from run_examples import small_recipe, small_run

KINDS: tuple[PromptKind, ...] = ("red_team", "benign_twin", "helpful")


def selected(recipe: Recipe) -> list[Prompt]:
    """Select the built-in prompts that a recipe asks for."""
    loaded = {kind: load_prompts("built-in", kind).prompts for kind in KINDS}
    constitutions = (load_constitution("harmless"), load_constitution("helpful"))
    return list(select_prompts(loaded, constitutions, **recipe.prompts.numbers()).prompts)


@pytest.mark.parametrize("overrides", [(), ("prompts.n_train=null", "prompts.split_seed=3")])
def test_selection_is_the_first_stages(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    """The prompts that are planned with are the very ones that the run takes."""
    run = small_run(tmp_path, ["prompts"], *overrides)
    assert selected(small_recipe(tmp_path, *overrides)) == read_table(run / "data/prompts.parquet", Prompt)


def test_own_prompts_are_selected_as_in_the_run(tmp_path: Path) -> None:
    """Prompts that come unmarked are split by the recipe's numbers, helpful ones too."""
    for kind in ("red_team", "helpful"):
        lines = "".join(f'{{"prompt": "{kind} number {number}?"}}\n' for number in range(40))
        (tmp_path / f"{kind}.jsonl").write_text(lines, "utf-8")
    overrides = (
        f"prompts.red_team={tmp_path / 'red_team.jsonl'}",
        f"prompts.helpful={tmp_path / 'helpful.jsonl'}",
        "prompts.benign_twin=null",
        "pairs.kinds={red_team: 0.5, helpful: 0.5}",
    )
    run = small_run(tmp_path, ["prompts"], *overrides)
    plan = check_recipe(small_recipe(tmp_path, *overrides), tmp_path / "run").plan
    assert plan is not None
    assert plan.stage("prompts").rows == len(read_table(run / "data/prompts.parquet", Prompt)) == 20


def test_a_name_that_is_no_dataset_is_no_dataset(tmp_path: Path) -> None:
    """A dataset has an owner: a lone name is a file that is not there, and an error."""
    report = check_recipe(small_recipe(tmp_path, "prompts.red_team=attacks"), tmp_path / "run")
    (error,) = [one for one in report.findings if one.severity == "error" and one.about == "prompts.red_team"]
    assert "attacks" in error.message


def test_doubts_are_warnings(tmp_path: Path) -> None:
    """What is probably not meant is pointed out, and stops nothing."""
    report = check_recipe(small_recipe(tmp_path, "dpo.opening_tokens=300"), tmp_path / "run")
    (found,) = [one for one in report.findings if one.about == "dpo.opening_tokens"]
    assert found.severity == "warning"
    assert found.message.startswith("is 300, and no sampled side of a pair is longer than pairs.max_tokens, 256: ")
    assert report.plan is not None


@pytest.mark.parametrize(
    ("override", "about", "message"),
    [
        (
            "label.on_low_margin=drop",
            "label.on_low_margin",
            "is drop, and with label.min_margin=0 no label is unsure; ",
        ),
        (
            "label.judges={again: {model: {name: small, engine: scripted}}}",
            "label.judges.again",
            "is the model of models.judge, which says the same a second time; ",
        ),
    ],
)
def test_labels_that_are_not_what_they_seem_are_doubted(
    tmp_path: Path, override: str, about: str, message: str
) -> None:
    """A threshold that is none, a second judge that is the first."""
    report = check_recipe(small_recipe(tmp_path, override), tmp_path / "run")
    (found,) = [one for one in report.findings if one.about == about]
    assert found.severity == "warning"
    assert found.message.startswith(message)


def test_a_further_judge_is_looked_at_by_its_own_key(tmp_path: Path) -> None:
    """Its model, and its calibrator, which another judge may not have been fitted on."""
    judges = "label.judges={large: {model: smollm-135m, calibrator: nowhere.json}}"
    report = check_recipe(small_recipe(tmp_path, judges), tmp_path / "run")
    errors = {one.about: one.message for one in report.errors}
    assert "smollm-135m; did you mean 'smollm2-135m'?" in errors["label.judges.large.model"]
    assert "nowhere.json: cannot be read" in errors["label.judges.large.calibrator"]


@pytest.mark.parametrize("name", ["somebody/prompts", "somebody/prompts-3.1-v2"])
def test_a_dataset_that_is_not_here_is_planned_by_number(tmp_path: Path, name: str) -> None:
    """A dataset of the hub is not fetched for a check: the recipe's numbers stand in for it, and a note says so."""
    overrides = (
        f"prompts.red_team={name}",
        "prompts.red_team.limit=50",
        "prompts.benign_twin=null",
        "pairs.kinds={red_team: 0.5, helpful: 0.5}",
    )
    recipe = small_recipe(tmp_path, *overrides)
    report = check_recipe(recipe, tmp_path / "run")
    assert report.plan is not None
    assert report.plan.stage("revise").rows == 6
    assert [one.about for one in report.findings if "fetched when the run starts" in one.message] == [
        "prompts.red_team"
    ]
    check_inputs(recipe)


def test_twins_are_looked_at(tmp_path: Path) -> None:
    """Twins that name prompts which are not there stop a run, in the check and before it; twins without names warn."""
    (tmp_path / "red.csv").write_text("nr,prompt\n" + "".join(f"r{n},Harm {n}?\n" for n in range(16)), "utf-8")
    rows = [{"prompt": f"Benign {n}?", "twin_of": f"r{n}"} for n in range(16)]
    (tmp_path / "twins.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    own = (f"prompts.red_team={tmp_path / 'red.csv'}", f"prompts.benign_twin={tmp_path / 'twins.jsonl'}")
    recipe = small_recipe(tmp_path, *own)
    (error,) = check_recipe(recipe, tmp_path / "run").errors
    assert error.about == "prompts.benign_twin"
    assert "twins.jsonl:1: twin_of is 'r0'" in error.message
    with pytest.raises(UserError, match=r"set prompts\.red_team\.id_column"):
        check_inputs(recipe)
    linked = small_recipe(tmp_path, *own, "prompts.red_team.id_column=nr")
    assert not [one for one in check_recipe(linked, tmp_path / "run").findings if one.about == "prompts.benign_twin"]
    (tmp_path / "twins.jsonl").write_text("".join(f'"Benign {n}?"\n' for n in range(16)), "utf-8")
    (found,) = [one for one in check_recipe(recipe, tmp_path / "run").findings if one.about == "prompts.benign_twin"]
    assert found.severity == "warning"
    assert "split on their own" in found.message


def test_rejected_rows_are_noted(tmp_path: Path) -> None:
    """Rows of a prompt file that are left out are counted with the reason."""
    lines = "".join(f'{{"prompt": "Number {number % 30}?"}}\n' for number in range(33))
    (tmp_path / "mine.jsonl").write_text(lines, "utf-8")
    report = check_recipe(small_recipe(tmp_path, f"prompts.helpful={tmp_path / 'mine.jsonl'}"), tmp_path / "run")
    assert any("3 rows are left out: duplicate text" in one.message for one in report.findings)
    assert not report.errors


def test_questions_that_training_shows_are_not_planned(tmp_path: Path) -> None:
    """A multiple-choice row that the evaluation would leave out costs nothing, and is noted."""
    recipe = small_recipe(tmp_path)
    trained = next(prompt for prompt in selected(recipe) if prompt.split == "train")
    shown = next(iter(shown_contexts([load_constitution("harmless")])))
    rows = [
        {"prompt": f"{text}\n(A) one\n(B) two", "corrects": [" (A)"], "incorrects": [" (B)"]}
        for text in (trained.text, shown, "Which way is north?", "Which way is south?")
    ]
    path = tmp_path / "choices.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    report = check_recipe(small_recipe(tmp_path, f"evaluate.multiple_choice=[{path}]"), tmp_path / "run")
    without = check_recipe(recipe, tmp_path / "run").plan
    assert report.plan is not None
    assert without is not None
    n_models, n_orders = 3, 2
    assert report.plan.total.calls == without.total.calls + 2 * n_models * n_orders
    assert {one.message for one in report.findings if one.about == "evaluate.multiple_choice"} == {
        f"{path}: 1 rows are left out: shares its context with a training prompt",
        f"{path}: 1 rows are left out: shares its context with a few-shot example",
    }


def test_little_space_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is nearly full is pointed out, also for a folder that is not there yet."""
    import shutil
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - what the library returns
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 100, 2_000_000_000))
    report = check_recipe(small_recipe(tmp_path), tmp_path / "not/yet/there")
    assert [one.message for one in report.findings if one.about == "disk"] == [
        f"{tmp_path} has 2.0 GB free; a run may need more"
    ]


def test_a_folder_that_a_run_would_refuse_is_an_error(tmp_path: Path) -> None:
    """A folder of another recipe, of other files, and a file are told; the run is planned, and nothing changed."""
    run = small_run(tmp_path, ["prompts"])

    def about_folder(recipe: Recipe, folder: Path) -> list[str]:
        report = check_recipe(recipe, folder)
        assert report.plan is not None
        return [one.message for one in report.findings if (one.severity, one.about) == ("error", "run folder")]

    assert about_folder(small_recipe(tmp_path), run) == []
    (message,) = about_folder(small_recipe(tmp_path, "seed=1"), run)
    assert message.startswith(f"{run}: belongs to another recipe")
    assert "seed: was 0, is 1" in message
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    assert "letter.txt" in about_folder(small_recipe(tmp_path), tmp_path / "mine")[0]
    assert "is a file" in about_folder(small_recipe(tmp_path), tmp_path / "mine/letter.txt")[0]
    assert about_folder(small_recipe(tmp_path), tmp_path / "new") == []
    assert not (tmp_path / "new").exists()


def test_one_model_in_several_roles_is_looked_at_once(tmp_path: Path) -> None:
    """A model that plays every role is named once."""
    report = check_recipe(small_recipe(tmp_path, "models.policy=somebody/model-3b"), tmp_path / "run")
    assert [one.about for one in report.findings if "somebody/model-3b" in one.message] == ["models.policy"]
    assert report.plan is not None
    assert report.plan.basis[0].endswith("3B") or "3B" in report.plan.basis[0]


def test_a_misspelt_embedded_name_is_pointed_out(tmp_path: Path) -> None:
    """A name that is nearly the embedded model's gets the right one."""
    report = check_recipe(small_recipe(tmp_path, "models.judge=smollm-135m"), tmp_path / "run")
    found = [one for one in report.findings if one.about == "models.judge"]
    assert found[0].severity == "error"
    assert "smollm-135m; did you mean 'smollm2-135m'? (the hub cannot be asked now: HF_HUB_OFFLINE is set)" in (
        found[0].message
    )


@pytest.mark.model
def test_tokens_are_counted_by_the_models_tokenizer(tmp_path: Path, tiny_model: Path) -> None:
    """Where the model is at hand, its tokenizer counts: this one cuts finer than four characters a token."""
    own = (f"models.policy.name={tiny_model}", "models.policy.engine=transformers")
    by_tokenizer = check_recipe(small_recipe(tmp_path, *own), tmp_path / "run").plan
    by_characters = check_recipe(small_recipe(tmp_path), tmp_path / "run").plan
    assert by_tokenizer is not None
    assert by_characters is not None
    assert by_tokenizer.total.calls == by_characters.total.calls
    assert by_tokenizer.total.prompt_tokens > 1.1 * by_characters.total.prompt_tokens


def test_inputs_are_refused_before_the_run(tmp_path: Path) -> None:
    """What only a late stage reads is looked at first."""
    with pytest.raises(UserError, match="nowhere"):
        check_inputs(small_recipe(tmp_path, "evaluate.multiple_choice=[nowhere.jsonl]"))


KIN = "".join(
    json.dumps({"prompt": f"What should my {who} do on {day} about the {thing} of the {place}?"}) + "\n"
    for thing, place in (("garden", "school"), ("broken window", "library"), ("money", "football club"))
    for day in ("Monday", "Friday")
    for who in ("uncle", "boss")
)


def own_prompts(tmp_path: Path, *overrides: str) -> Recipe:
    """Give a recipe of red-team prompts that are near-duplicates of each other."""
    (tmp_path / "kin.jsonl").write_text(KIN, "utf-8")
    own = (f"prompts.red_team={tmp_path / 'kin.jsonl'}", "prompts.benign_twin=null", "prompts.n_train=null")
    kinds = "pairs.kinds={red_team: 0.5, helpful: 0.5}"
    return small_recipe(tmp_path, *own, kinds, "prompts.n_evaluation=1", *overrides)


def test_near_duplicates_across_the_split_are_noted(tmp_path: Path) -> None:
    """Training prompts that resemble a held-out one are counted with the nearest; with the key there are none."""
    report = check_recipe(own_prompts(tmp_path), tmp_path / "run")
    (found,) = [one for one in report.findings if one.about == "prompts.near_duplicates"]
    assert found.severity == "note"
    assert "resemble one that is held out, such as 'What should my" in found.message
    assert found.message.endswith("% alike); set it to 0.7 to keep near-duplicates on one side")
    kept = check_recipe(own_prompts(tmp_path, "prompts.near_duplicates=0.6"), tmp_path / "run")
    assert [one for one in kept.findings if one.about == "prompts.near_duplicates"] == []
    assert not kept.errors


def test_prompts_that_are_not_here_yet_resemble_nothing(tmp_path: Path) -> None:
    """What stands in for a dataset is planned as prompts that are unlike each other."""
    overrides = ("prompts.red_team=somebody/prompts", "prompts.benign_twin=null", "prompts.near_duplicates=0.7")
    kinds = "pairs.kinds={red_team: 0.5, helpful: 0.5}"
    report = check_recipe(small_recipe(tmp_path, *overrides, kinds), tmp_path / "run")
    assert not report.errors
    assert report.plan is not None


def test_questions_that_resemble_training_are_not_planned_on_request(tmp_path: Path) -> None:
    """The key holds for multiple-choice questions too."""
    trained = next(prompt for prompt in selected(small_recipe(tmp_path)) if prompt.split == "train")
    path = tmp_path / "choices.jsonl"
    row = {"prompt": f"{trained.text} now\n(A) one\n(B) two", "corrects": [" (A)"], "incorrects": [" (B)"]}
    path.write_text(json.dumps(row), "utf-8")
    for key, n in (("null", 0), ("0.7", 1)):
        overrides = (f"evaluate.multiple_choice=[{path}]", f"prompts.near_duplicates={key}")
        report = check_recipe(small_recipe(tmp_path, *overrides), tmp_path / "run")
        assert len([one for one in report.findings if one.about == "evaluate.multiple_choice"]) == n


@pytest.mark.parametrize(("key", "crosses"), [("null", True), ("0.6", False)])
def test_the_prompts_stage_tells_what_crosses(tmp_path: Path, key: str, *, crosses: bool) -> None:
    """A run counts by itself what resembles what, with examples, in its summary."""
    (tmp_path / "kin.jsonl").write_text(KIN, "utf-8")
    run = small_run(
        tmp_path,
        ["prompts"],
        f"prompts.red_team={tmp_path / 'kin.jsonl'}",
        "prompts.benign_twin=null",
        "prompts.n_train=null",
        "prompts.n_evaluation=1",
        "pairs.kinds={red_team: 0.5, helpful: 0.5}",
        f"prompts.near_duplicates={key}",
    )
    counts = json.loads((run / "stages/prompts.json").read_text("utf-8"))["counts"]
    found = counts.get("train, and resemble one held out, such as")
    assert (found is not None) is crosses
    if crosses:
        assert found["number"] >= len(found["examples"]) >= 1
        assert found["examples"][0].endswith("alike)")
