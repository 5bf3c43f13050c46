"""What tests of plans share: the recipe that is planned most, in any size."""

from __future__ import annotations

import pytest

from charter.planning.preflight import Planner
from charter.recipe import Recipe, built_in_recipes, load_recipe


@pytest.fixture(autouse=True)
def same_processor(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Plans are those of a processor that multiplies bfloat16, whatever this one does."""
    about = tmp_path_factory.getbasetemp() / "cpuinfo"
    about.write_text("flags\t\t: avx512_bf16\n")
    monkeypatch.setattr("charter.planning.rates._ABOUT_PROCESSOR", about)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """The recipe that is planned most."""
    return load_recipe(built_in_recipes()["smollm2-135m"])


@pytest.fixture(scope="session")
def planner(recipe: Recipe) -> Planner:
    """Plans it in any size."""
    return Planner(recipe)
