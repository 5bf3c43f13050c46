from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from charter.errors import RecipeError
from charter.recipe import Recipe, dump_recipe, load_recipe
from charter.recipe.paths import hide_paths, is_path, move_paths, place_paths

RECIPE = """\
name: demo
constitution: {source: principles.yaml, helpful: ../shared/helpful.yml}
models:
  policy: ./model
  judge: {name: models/judge, device: cpu}
  critic: {name: model, engine: scripted}
prompts:
  red_team: mine.csv
  benign_twin: {source: data/twins.jsonl}
  helpful: saved
label:
  judges:
    short: ./model
    long: {model: models/judge, calibrator: fitted.json}
    longest: {model: {name: models/judge}}
evaluate:
  multiple_choice: [choices.jsonl, ../shared/choices.json]
"""
PLACED = {
    "constitution.source": "recipes/principles.yaml",
    "constitution.helpful": "recipes/../shared/helpful.yml",
    "models.policy": "./recipes/model",
    "models.judge": "recipes/models/judge",
    "prompts.red_team": "recipes/mine.csv",
    "prompts.benign_twin": "recipes/data/twins.jsonl",
    "prompts.helpful": "./recipes/saved",
    "label.judges.short": "./recipes/model",
    "label.judges.long": "recipes/models/judge",
    "calibrator of long": "recipes/fitted.json",
    "label.judges.longest": "recipes/models/judge",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recipe in ``recipes``, models and a saved dataset beside it, that is the current one."""
    for name in ("recipes/model", "recipes/models/judge", "recipes/saved", "shared", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "recipes/r.yaml").write_text(RECIPE, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts(recipe: Recipe) -> dict[str, str]:
    """Read a recipe's paths and names."""
    return {
        "constitution.source": recipe.constitution.source,
        "constitution.helpful": recipe.constitution.helpful,
        "models.policy": recipe.models.policy.name,
        "models.judge": "" if recipe.models.judge is None else recipe.models.judge.name,
        **{f"prompts.{kind}": source.source for kind, source in recipe.prompts.sources().items()},
        **{f"label.judges.{name}": judge.model.name for name, judge in recipe.label.judges.items()},
        **{
            f"calibrator of {name}": judge.calibrator for name, judge in recipe.label.judges.items() if judge.calibrator
        },
    }


def test_paths_are_relative_to_the_recipes_file(project: Path) -> None:
    """Files and folders of every kind are looked for beside the recipe; a script's name is none."""
    del project
    recipe = load_recipe(Path("recipes/r.yaml"))
    assert texts(recipe) == PLACED
    assert recipe.evaluate.multiple_choice == ("recipes/choices.jsonl", "recipes/../shared/choices.json")
    assert recipe.models.critic is not None
    assert recipe.models.critic.name == "model"


def test_the_recipes_own_folder_changes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the recipe lies in the current folder its paths stay as they are; folders are marked as paths."""
    monkeypatch.chdir(project / "recipes")
    recipe = load_recipe(Path("r.yaml"))
    assert texts(recipe)["prompts.red_team"] == "mine.csv"
    assert texts(recipe)["models.judge"] == "./models/judge"
    assert texts(recipe)["models.policy"] == "./model"


def test_overrides_are_relative_to_the_shell(project: Path) -> None:
    """What is typed holds from where it is typed, in whatever form; the recipe's own paths beside it do not change."""
    (project / "models/judge").mkdir(parents=True)
    overrides = (
        "prompts.red_team.source=mine.csv",
        "prompts.helpful={source: own.jsonl}",
        "models.judge=models/judge",
        "constitution.helpful=own.yaml",
        "evaluate.multiple_choice=[a.jsonl]",
        "models.policy.device=cpu",
    )
    recipe = load_recipe(Path("recipes/r.yaml"), overrides)
    changed = {
        "prompts.red_team": "mine.csv",
        "prompts.helpful": "own.jsonl",
        "models.judge": "./models/judge",
        "constitution.helpful": "own.yaml",
    }
    assert texts(recipe) == PLACED | changed
    assert recipe.evaluate.multiple_choice == ("a.jsonl",)


@pytest.mark.parametrize("name", ["smollm2-135m", "Qwen/Qwen2.5-7B-Instruct", "owner/name@v1.0", "gpt2"])
def test_names_are_no_paths(project: Path, name: str) -> None:
    """A model's name stays a name where nothing of that name lies beside the recipe."""
    text = RECIPE.replace("./model", f'"{name}"')
    (project / "recipes/r.yaml").write_text(text, "utf-8")
    (project / "gpt2").mkdir()  # beside the shell, not beside the recipe
    assert load_recipe(Path("recipes/r.yaml")).models.policy.name == name


def test_built_in_names_go_before_folders(project: Path) -> None:
    """A folder that is called like something built in is reached with ./ alone."""
    for name in ("smollm2-135m", "harmless", "built-in"):
        (project / "recipes" / name).mkdir()
    text = (
        "name: demo\nconstitution: harmless\nmodels: {policy: smollm2-135m, judge: ./smollm2-135m}\n"
        "prompts: {red_team: built-in}\n"
    )
    (project / "recipes/r.yaml").write_text(text, "utf-8")
    recipe = load_recipe(Path("recipes/r.yaml"))
    assert recipe.constitution.source == "harmless"
    assert recipe.models.policy.name == "smollm2-135m"
    assert recipe.models.judge is not None
    assert recipe.models.judge.name == "./recipes/smollm2-135m"
    assert recipe.prompts.red_team.source == "built-in"


@pytest.mark.parametrize("out", ["runs/demo", "recipes/run", "."])
def test_a_resolved_recipe_means_the_same_files(project: Path, out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written into any folder and read from anywhere, each path leads where it led, and names the project nowhere."""
    recipe = load_recipe(Path("recipes/r.yaml"), ["models.judge.name=/somewhere/judge"])
    expected = {key: str(Path(text).resolve()) for key, text in texts(recipe).items()}
    (project / out).mkdir(parents=True, exist_ok=True)
    resolved = project / out / "recipe.resolved.yaml"
    resolved.write_text(dump_recipe(recipe, project / out), "utf-8")
    assert str(project) not in resolved.read_text("utf-8")
    for place in (project, project / "elsewhere"):
        monkeypatch.chdir(place)
        again = load_recipe(Path(os.path.relpath(resolved)))
        assert {key: str(Path(text).resolve()) for key, text in texts(again).items()} == expected
        assert dump_recipe(again, project / out) == resolved.read_text("utf-8")


def test_a_linked_run_folder_leads_to_the_same_files(project: Path) -> None:
    """A folder of runs that is a link to another disk does not bend the paths."""
    (project / "disk/of/runs/demo").mkdir(parents=True)
    (project / "runs").symlink_to(project / "disk/of/runs")
    recipe = load_recipe(Path("recipes/r.yaml"))
    resolved = Path("runs/demo/recipe.resolved.yaml")
    resolved.write_text(dump_recipe(recipe, resolved.parent), "utf-8")
    (project / "recipes/mine.csv").write_text("prompt\nhello\n", "utf-8")
    for way in (resolved, Path("disk/of/runs/demo/recipe.resolved.yaml")):
        assert Path(load_recipe(way).prompts.red_team.source).read_text("utf-8") == "prompt\nhello\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("./x", True), ("../x", True), ("/x", True), ("~/x", True), (".", True), ("a/b/c", True), ("x.csv", True),
        ("a b", True), ("X.JSONL", True), ("a/b.yaml", True), ("harmless", False), ("a/b", False), ("a/b-0.5B", False),
        ("a/b@main", False), ("", False),
    ],
)  # fmt: skip
def test_paths_are_told_from_names_by_form(text: str, expected: bool) -> None:
    """A dot or slash at the beginning, several slashes, or a file's ending makes a path."""
    assert is_path(text) is expected


@pytest.mark.parametrize(
    "data", [None, [], "text", {}, {"models": 3}, {"models": {"policy": None}}, {"prompts": ["a"]}, {"evaluate": []}]
)
def test_what_is_no_recipe_is_left_to_others(data: Any) -> None:
    """Malformed values are neither changed nor stumbled over: reading tells what is wrong with them."""
    before = json.dumps(data)
    place_paths(data, Path("somewhere"))
    move_paths(data, Path("somewhere"))
    assert json.dumps(data) == json.dumps(hide_paths(data)) == before


@pytest.mark.parametrize(("named", "found"), [("own.yaml", "recipes/own.yaml"), ("fsdp2", "fsdp2")])
def test_a_launch_is_a_file_beside_the_recipe_or_a_name(project: Path, named: str, found: str) -> None:
    """A name of ours is one also where a folder is called so."""
    (project / "recipes" / "fsdp2").mkdir()
    text = f"name: x\nconstitution: harmless\nmodels: {{policy: smollm2-135m}}\ntraining: {{launch: {named}}}\n"
    (project / "recipes/launched.yaml").write_text(text, "utf-8")
    assert load_recipe(Path("recipes/launched.yaml")).training.launch == found


def test_a_launch_gives_out_the_gpus_itself(project: Path) -> None:
    """A policy that is held to one GPU contradicts it."""
    given = ["training.launch=several-gpus", "models.policy={name: smollm2-135m, device: 'cuda:1'}"]
    with pytest.raises(RecipeError, match=r"'models.policy.device' is 'cuda:1'; leave it at auto"):
        load_recipe(project / "recipes/r.yaml", given)
