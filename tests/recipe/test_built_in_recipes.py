from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from charter.errors import RecipeError
from charter.recipe import Recipe, built_in, built_in_recipes, find_recipe, load_recipe
from charter.recipe.contradictions import doubts

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))


def test_the_repositorys_recipes_are_the_built_in_ones() -> None:
    """Every recipe of the repository comes with Charter, under the name that it gives itself."""
    assert list(built_in_recipes()) == NAMES
    assert {name: load_recipe(path).name for name, path in built_in_recipes().items()} == {name: name for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_built_in_recipes_name_no_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They work from any folder: what they name comes with Charter too, or from the hub.

    What is wrong with a machine that has no GPU is wrong with that.
    """
    from charter.planning.preflight import check_recipe

    monkeypatch.chdir(tmp_path)
    report = check_recipe(load_recipe(find_recipe(Path(name))), tmp_path / "run")
    assert not [one for one in report.errors if one.about != "training.launch"]
    assert not list(doubts(load_recipe(find_recipe(Path(name)))))


def test_a_file_goes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of that very name, then one in the folder recipes, then the built-in one; a folder is passed over."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "smoke").mkdir()
    assert find_recipe(Path("smoke")) == built_in_recipes()["smoke"]
    (tmp_path / "recipes/smoke.yaml").write_text("name: x\n")
    assert find_recipe(Path("smoke")) == Path("recipes/smoke.yaml")
    (tmp_path / "smoke").rmdir()
    (tmp_path / "smoke").write_text("name: x\n")
    assert find_recipe(Path("smoke")) == Path("smoke")


def test_a_copy_inside_the_package_is_read_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed wheel has its recipes beside its code."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/packed.yaml").write_text("name: packed\n")
    monkeypatch.setattr(built_in, "_PACKAGE", tmp_path)
    assert built_in_recipes() == {"packed": tmp_path / "recipes/packed.yaml"}


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    """What there is to run is told."""
    with pytest.raises(RecipeError, match="no such file; name a recipe's YAML file, or one that comes with Charter: "):
        find_recipe(tmp_path / "nowhere.yaml")


@pytest.mark.slow
def test_the_wheel_holds_the_recipes(tmp_path: Path) -> None:
    """Built and unpacked elsewhere, the package finds its recipes, each the same bytes as in the repository."""
    building = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"
    command = [sys.executable, "-c", building, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(tmp_path / done.stdout.split()[-1]) as wheel:
        wheel.extractall(tmp_path / "unpacked")
    asking = "import charter.recipe as r; print(*r.built_in_recipes().values(), sep='\\n')"
    command = [sys.executable, "-c", asking]
    found = subprocess.run(command, cwd=tmp_path / "unpacked", capture_output=True, text=True, check=True)
    paths = [Path(line) for line in found.stdout.splitlines()]
    assert [path.parent for path in paths] == [tmp_path / "unpacked/charter/recipes"] * len(NAMES)
    assert all(path.read_bytes() == (ROOT / "recipes" / path.name).read_bytes() for path in paths)
    for file in ("school_questions.csv", "sixteen.yaml"):
        packed = tmp_path / "unpacked/charter/recipes/data" / file
        assert packed.read_bytes() == (ROOT / "recipes/data" / file).read_bytes()
    assert isinstance(load_recipe(paths[0]), Recipe)
