from __future__ import annotations

from pathlib import Path

import pytest

from charter.engines import loading
from charter.pipeline import run_stages
from charter.recipe import Recipe, load_recipe
from charter.runs.folder import open_run
from charter.sharding.merging import merge_shards
from run_examples import table_bytes
from sharding.sharded_run import do_shards, do_whole
from test_real_model_kills import RECIPE

pytestmark = [pytest.mark.model, pytest.mark.thorough]


def _recipe(folder: Path) -> Recipe:
    folder.mkdir()
    (folder / "tiny.yaml").write_text(RECIPE, "utf-8")
    return load_recipe(folder / "tiny.yaml")


def test_shards_of_a_model(tmp_path: Path, smollm2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two shards ask a model, before it is trained and after, and come to the tables of the run in one piece."""
    assert smollm2.exists()  # fetched before the runs begin
    whole = _recipe(tmp_path / "whole")
    with open_run(whole, tmp_path / "whole/run", recipe_text=RECIPE) as run:
        run_stages(run, ["prompts", "revise", "sft", "pairs", "label"])
    recipe, folder = _recipe(tmp_path / "divided"), tmp_path / "divided/run"
    for following in ("sft", ""):
        do_shards(recipe, folder, 2)
        with monkeypatch.context() as patch:
            patch.setattr(loading, "resolve_model", None)  # to look for a model would be an error
            assert merge_shards(folder).n_shards == 2
        if following:
            do_whole(recipe, folder, following)
    assert table_bytes(folder) == table_bytes(tmp_path / "whole/run")
