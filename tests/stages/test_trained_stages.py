from __future__ import annotations

from pathlib import Path

import pytest

from charter.runs.folder import Run, open_run
from charter.stages.trained import base_name
from run_examples import RECIPE, small_recipe


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("./model", "{here}/model"),
        ("runs/one/../../model", "{here}/model"),
        ("owner/name", "owner/name"),
        ("smollm2-135m", "smollm2-135m"),
    ],
)
def test_an_adapter_names_its_base_from_anywhere(
    tmp_path: Path, name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base that is a folder is named by its whole path, since adapters are loaded from other places; ids stay."""
    monkeypatch.chdir(tmp_path)
    recipe = small_recipe(tmp_path, f"models.policy.name={name}")  # on the scripted engine, so that nothing is loaded
    with open_run(recipe, tmp_path / "run", recipe_text=RECIPE) as run:
        assert isinstance(run, Run)
        assert base_name(run) == expected.replace("{here}", str(tmp_path))
