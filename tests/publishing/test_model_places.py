"""A run's models are put where the environment says too, and nothing that lies there is written over."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from charter.errors import UserError
from charter.recipe import Recipe, load_recipe
from charter.release.placing import find_places, put_models, require_free
from publishing.publishable import BESIDE, RECIPE, make_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that has trained two models."""
    return make_run(tmp_path / "run")


def _recipe(folder: Path, *overrides: str) -> Recipe:
    (folder / "small.yaml").write_text(RECIPE, "utf-8")
    return load_recipe(folder / "small.yaml", overrides)


def _environment(folder: Path) -> dict[str, str]:
    return {"SFT_OUTPUT_DIR": str(folder / "out/sft"), "DPO_OUTPUT_DIR": f" {folder / 'out/dpo'} "}


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_models_are_put_where_variables_say(run: Path, tmp_path: Path) -> None:
    """As they were trained, without records of the training; a second time nothing is written."""
    places = find_places(_recipe(tmp_path), _environment(tmp_path))
    assert [(one.stage, one.variable) for one in places] == [("sft", "SFT_OUTPUT_DIR"), ("dpo", "DPO_OUTPUT_DIR")]
    require_free(places, run)
    (tmp_path / "out/sft").mkdir(parents=True)  # as the notebooks do
    assert list(put_models(places, run)) == places
    weights = tmp_path / "out/dpo/adapter_model.safetensors"
    assert weights.read_bytes() == (run / "models/dpo/adapter_model.safetensors").read_bytes()
    assert {"adapter_config.json", "tokenizer.json"} <= _names(tmp_path / "out/sft")
    assert _names(tmp_path / "out/sft").isdisjoint(BESIDE)
    before = weights.stat()
    require_free(places, run)
    assert list(put_models(places, run)) == places
    assert weights.stat() == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dpo", "sft"]


def test_without_variables_nothing_is_put_anywhere(tmp_path: Path) -> None:
    """None, one without a value, and one of a stage that the recipe leaves out."""
    assert find_places(_recipe(tmp_path), {}) == []
    assert find_places(_recipe(tmp_path), {"SFT_OUTPUT_DIR": " "}) == []
    without = _recipe(tmp_path, "dpo=null")
    assert [one.stage for one in find_places(without, _environment(tmp_path))] == ["sft"]


def test_of_iterations_the_last_is_taken(run: Path, tmp_path: Path) -> None:
    """Not before it is done."""
    (place,) = find_places(_recipe(tmp_path, "iterations=2"), {"DPO_OUTPUT_DIR": str(tmp_path / "out")})
    assert place.stage == "dpo-2"
    assert list(put_models([place], run)) == []
    assert not (tmp_path / "out").exists()
    shutil.copytree(run / "models/dpo", run / "models/dpo-2")
    assert list(put_models([place], run)) == []  # trained, as far as it may be, and not done
    shutil.copy(run / "stages/dpo.json", run / "stages/dpo-2.json")
    assert list(put_models([place], run)) == [place]


def test_other_files_are_never_written_over(run: Path, tmp_path: Path) -> None:
    """They are found before anything is trained: a file, another model, one's own notes."""
    places = find_places(_recipe(tmp_path), _environment(tmp_path))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/sft").write_text("mine")
    with pytest.raises(UserError, match=r"SFT_OUTPUT_DIR says that .* sft is put into .*sft, which is a file"):
        require_free(places, run)
    (tmp_path / "out/sft").unlink()
    shutil.copytree(run / "models/dpo", tmp_path / "out/dpo")
    (tmp_path / "out/dpo/adapter_model.safetensors").write_bytes(b"another run's")
    with pytest.raises(UserError, match=r"holds files already; name a new folder there, or set DPO_OUTPUT_DIR to"):
        require_free(places, run)
    with pytest.raises(UserError, match="is not empty"):
        list(put_models(places, run))
    assert (tmp_path / "out/dpo/adapter_model.safetensors").read_bytes() == b"another run's"


def test_what_is_done_again_needs_another_place(run: Path, tmp_path: Path) -> None:
    """The folder holds the model that is forgotten, and keeps it."""
    places = find_places(_recipe(tmp_path), _environment(tmp_path))
    list(put_models(places, run))
    require_free(places, run, again="label")
    with pytest.raises(UserError, match="model of dpo is put into"):
        require_free(places, run, again="dpo")


def test_one_s_own_files_beside_the_model_are_left_alone(run: Path, tmp_path: Path) -> None:
    """The folder holds the model still."""
    places = find_places(_recipe(tmp_path), _environment(tmp_path))
    list(put_models(places, run))
    (tmp_path / "out/sft/README.md").write_text(json.dumps("mine"))
    require_free(places, run)
    assert list(put_models(places, run)) == places
    assert (tmp_path / "out/sft/README.md").exists()
