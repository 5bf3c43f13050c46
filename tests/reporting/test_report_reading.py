from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from run_folder import build, edit_json

from charter.errors import RunError
from charter.reporting import read_run


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run folder, not to be written to."""
    return build(tmp_path_factory.mktemp("run"))


@pytest.fixture
def folder(complete: Path, tmp_path: Path) -> Path:
    """A copy of a complete run folder."""
    return Path(shutil.copytree(complete, tmp_path / "run"))


def test_a_complete_run_is_read_whole(complete: Path) -> None:
    """Nothing is missing, nothing unreadable, and every table has rows."""
    data = read_run(complete)
    assert (data.name, data.absent, data.unreadable, data.unfinished_stages) == ("small-run", (), {}, ())
    rows = (data.prompts, data.traces, data.sft, data.pairs, data.preferences, data.responses, data.comparisons)
    assert all(rows)
    assert data.environment is not None
    assert data.environment.processor == "An old one <b>fast</b>"
    assert len(data.environment.gpus) == 2
    assert data.stages["dpo"].training is not None
    assert all(result.n_unaccounted == 0 for result in data.stages.values())


def test_a_path_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """The message names the path and what to give instead."""
    with pytest.raises(RunError, match="is not a folder"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(RunError, match="holds nothing that a run writes"):
        read_run(tmp_path)


def test_missing_parts_are_named(folder: Path) -> None:
    """A part that is not there is absent, with a sentence for the page."""
    (folder / "data/traces.parquet").unlink()
    data = read_run(folder)
    assert data.absent == ("data/traces.parquet",)
    assert data.why_missing("data/traces.parquet") == "data/traces.parquet is not in the run folder."


def test_damaged_parts_are_named_and_the_rest_is_read(folder: Path) -> None:
    """Broken JSON, YAML, Parquet and values out of shape each say what is wrong."""
    (folder / "environment.json").write_text("{", "utf-8")
    (folder / "recipe.resolved.yaml").write_text("a: [1", "utf-8")
    (folder / "data/pairs.parquet").write_bytes(b"PAR1 not really")
    edit_json(folder / "stages/label.json", n_in="many")
    data = read_run(folder)
    assert set(data.unreadable) == {
        "environment.json",
        "recipe.resolved.yaml",
        "data/pairs.parquet",
        "stages/label.json",
    }
    assert "n_in" in data.unreadable["stages/label.json"]
    assert str(folder) not in " ".join(data.unreadable.values())
    assert data.name == "small-run"
    assert data.prompts


def test_stages_are_planned_by_the_resolved_recipe(folder: Path) -> None:
    """A stage that the recipe leaves out is not unfinished; without a resolved recipe all are planned."""
    (folder / "stages/sft.json").unlink()
    (folder / "stages/dpo.json").unlink()
    (folder / "recipe.resolved.yaml").write_text("name: x\nprompts: {}\ndpo: {}\nsft: null\n", "utf-8")
    assert read_run(folder).unfinished_stages == ("dpo",)
    (folder / "recipe.resolved.yaml").unlink()
    assert read_run(folder).unfinished_stages == ("sft", "dpo")


def test_keys_of_a_later_version_are_passed_over(folder: Path) -> None:
    """A stage, environment or measurement that says more than we know is still read."""
    edit_json(folder / "environment.json", gpu="none")
    edit_json(folder / "stages/revise.json", weather={"rain": 1})
    found = json.loads((folder / "evaluation.json").read_text("utf-8"))
    edit_json(folder / "evaluation.json", measurements=[one | {"tested_by": "x"} for one in found["measurements"]])
    data = read_run(folder)
    assert data.unreadable == {}
    assert data.evaluation is not None
    assert len(data.evaluation.measurements) == len(found["measurements"]) > 0


@pytest.mark.parametrize("content", ["[" * 100_000, '{"measurements": 3}', '{"measurements": [{}]}', "{}x"])
def test_an_evaluation_that_is_none_is_named(folder: Path, content: str) -> None:
    """Whatever stands there instead, it is no crash."""
    (folder / "evaluation.json").write_text(content, "utf-8")
    data = read_run(folder)
    assert set(data.unreadable) == {"evaluation.json"}
    assert data.evaluation is None


def test_unaccounted_rows_are_found(folder: Path) -> None:
    """In less done, filtered and failed is what nobody accounted for."""
    stage = folder / "stages/label.json"
    edit_json(stage, n_in=json.loads(stage.read_text("utf-8"))["n_in"] + 3)
    assert read_run(folder).stages["label"].n_unaccounted == 3
