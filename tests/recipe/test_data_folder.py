"""``data_dir``: a folder whose files take their places in a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from charter.errors import RecipeError
from charter.recipe import Recipe, dump_recipe, load_recipe
from charter.recipe.settings import GivenRows

RECIPE = """\
name: small
constitution: harmless
models: {policy: {name: small, engine: scripted}}
"""


def _folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).write_text("{}", "utf-8")
    return path


def _load(folder: Path, text: str = "", *overrides: str) -> Recipe:
    (folder / "r.yaml").write_text(RECIPE + text, "utf-8")
    return load_recipe(folder / "r.yaml", overrides)


def test_every_file_takes_its_place(tmp_path: Path) -> None:
    """Prompts, revisions and pairs are named by the folder alone."""
    data = _folder(tmp_path / "data", "red_team.json", "sft.json", "preferences.json", "more.json")
    recipe = _load(tmp_path, "data_dir: data\n")
    assert recipe.prompts.red_team.source == str(data / "red_team.json")
    assert recipe.revise.given == GivenRows(source=str(data / "sft.json"))
    assert recipe.pairs.given == GivenRows(source=str(data / "preferences.json"))
    assert _load(tmp_path, "", f"data_dir={data}") == recipe, "an override does what the file does"


def test_a_file_that_is_not_there_leaves_its_place(tmp_path: Path) -> None:
    """What the folder does not hold stays as the recipe has it."""
    _folder(tmp_path / "data", "sft.json")
    recipe = _load(tmp_path, "data_dir: ./data\n")
    assert (recipe.prompts.red_team.source, recipe.pairs.given) == ("built-in", None)


def test_a_file_that_the_recipe_names_stays(tmp_path: Path) -> None:
    """A place that has a file keeps it, and its other settings stay where it has none."""
    data = _folder(tmp_path / "data", "red_team.json", "sft.json")
    (tmp_path / "own.json").write_text("[]", "utf-8")
    recipe = _load(
        tmp_path, "data_dir: data\nrevise: {given: own.json}\nprompts: {red_team: {source: built-in, limit: 3}}\n"
    )
    assert recipe.revise.given == GivenRows(source=str(tmp_path / "own.json"))
    assert (recipe.prompts.red_team.source, recipe.prompts.red_team.limit) == (str(data / "red_team.json"), 3)


@pytest.mark.parametrize("in_file", [True, False])
def test_an_override_says_more_than_the_folder(tmp_path: Path, *, in_file: bool) -> None:
    """Whoever names a place by hand means it, also where that is what the recipe has without the folder."""
    data = _folder(tmp_path / "data", "red_team.json", "sft.json", "preferences.json")
    overrides = ("prompts.red_team=built-in", "pairs.given=null", "revise.given=own.json")
    folder = ("data_dir: data\n",) if in_file else ("", f"data_dir={data}")
    recipe = _load(tmp_path, *folder, *overrides)
    assert recipe.prompts.red_team.source == "built-in"
    assert (recipe.pairs.given, recipe.revise.given) == (None, GivenRows(source="own.json"))
    section = _load(
        tmp_path, *folder, "revise={rounds: 2}", "prompts={near_duplicates: 0.8}", "pairs={given: mine.json}"
    )
    assert section.revise.given == GivenRows(source=str(data / "sft.json")), (
        "a section that does not name the place leaves it to the folder"
    )
    assert section.prompts.red_team.source == str(data / "red_team.json")
    assert section.pairs.given == GivenRows(source="mine.json")
    inner = _load(tmp_path, *folder, "prompts={red_team: built-in}")
    assert inner.prompts.red_team.source == "built-in"
    fewer = _load(tmp_path, *folder, "prompts.red_team.limit=3")
    assert (fewer.prompts.red_team.source, fewer.prompts.red_team.limit) == (str(data / "red_team.json"), 3)


@pytest.mark.parametrize(("name", "what"), [("none", "is no folder"), ("empty", "holds none of these files")])
def test_a_folder_without_data_is_refused(tmp_path: Path, name: str, what: str) -> None:
    """The error says what was expected in it."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecipeError, match=rf"'data_dir' is '.*{name}', which {what}; expected one with red_team.json"):
        _load(tmp_path, f"data_dir: ./{name}\n")


def test_what_a_run_keeps_needs_the_folder_no_more(tmp_path: Path) -> None:
    """The resolved recipe names the files: it is read when the folder is gone, and a file that is new there is none."""
    data = _folder(tmp_path / "data", "sft.json")
    recipe = _load(tmp_path, "data_dir: data\n")
    (tmp_path / "run").mkdir()
    resolved = tmp_path / "run" / "resolved.yaml"
    resolved.write_text(dump_recipe(recipe, tmp_path / "run"), "utf-8")
    (data / "preferences.json").write_text("{}", "utf-8")
    again = load_recipe(resolved)
    assert again.pairs.given is None
    assert again.revise.given is not None
    assert Path(again.revise.given.source).samefile(data / "sft.json")
    data.rename(tmp_path / "elsewhere")
    assert load_recipe(resolved) == again
