from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from charter.damage import find_damage
from charter.errors import RunError
from charter.pipeline import run_stages
from charter.recipe.stages import STAGE_NAMES
from charter.runs.folder import open_run
from run_examples import RECIPE, small_recipe, small_run, table_bytes


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests copy it."""
    return small_run(tmp_path_factory.mktemp("damage"), STAGE_NAMES)


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def test_a_whole_run_has_no_damage(whole: Path) -> None:
    """Nothing is found where nothing is wrong, models that a scripted policy does not have included."""
    assert find_damage(whole, STAGE_NAMES) == []


@pytest.mark.parametrize(
    ("file", "stage", "remedy"),
    [
        ("data/prompts.parquet", "prompts", "stages/prompts.json"),
        ("data/traces.parquet", "revise", "charter revise"),
        ("data/pairs.parquet", "pairs", "charter pairs"),
        ("data/comparisons.parquet", "evaluate", "charter evaluate"),
        ("evaluation.json", "evaluate", "charter evaluate"),
        ("stages/sft.json", "sft", "charter sft"),
        ("stages/report.json", "report", "charter run"),
    ],
)
def test_what_is_damaged_is_named_with_its_remedy(run: Path, file: str, stage: str, remedy: str) -> None:
    """A file that holds something else than it should is found by the stage that made it."""
    for content in (
        b"",
        b"PAR1 and nothing else",
        b"[]" if file.endswith("json") else b"{",
        b"{" * 100_000,
        b'{"models": [], "n_in": 3}',
    ):
        (run / file).write_bytes(content)
        (found,) = find_damage(run, STAGE_NAMES)
        assert found.stage == stage
        assert found.problem.startswith(str(run / file))
        assert remedy in found.remedy


def test_a_page_that_is_gone_is_written_anew(run: Path) -> None:
    """For a report alone there is a command."""
    (run / "report.html").unlink()
    (found,) = find_damage(run, STAGE_NAMES)
    assert found.remedy.endswith(f"charter report {run}")


@pytest.mark.parametrize("file", ["report.html", "stages/report.json"])
def test_a_report_that_is_damaged_is_drawn_anew_by_a_run(run: Path, whole: Path, file: str) -> None:
    """A report rests on all the rest: that it is gone stops no run, and the run draws it from what is there."""
    before = table_bytes(run)
    (run / file).rename(run.parent / "elsewhere")
    (run / "stages/report.json").touch()
    with open_run(small_recipe(run.parent / "recipe"), run, recipe_text=RECIPE) as opened:
        run_stages(opened, ["label"])
        assert find_damage(run, STAGE_NAMES)
        run_stages(opened, STAGE_NAMES)
    assert find_damage(run, STAGE_NAMES) == []
    assert (run / "report.html").stat().st_size == pytest.approx((whole / "report.html").stat().st_size, rel=0.1)
    assert table_bytes(run) == before


def test_weights_are_as_long_as_they_say(run: Path) -> None:
    """A model without weights, with a part of them, or with something else is damaged."""
    header = json.dumps({"__metadata__": {}, "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    summary = json.loads((run / "stages/sft.json").read_text("utf-8"))
    (run / "stages/sft.json").write_text(json.dumps(summary | {"training": {}}), "utf-8")
    weights = run / "models/sft/adapter_model.safetensors"
    assert find_damage(run, STAGE_NAMES)[0].problem == f"{run / 'models/sft'}: is missing"
    weights.parent.mkdir(parents=True)
    assert find_damage(run, STAGE_NAMES)[0].problem == f"{run / 'models/sft'}: holds no weights"
    whole = len(header).to_bytes(8, "little") + header + bytes(8)
    for content in (b"", whole[:-1], b"\xff" * 40, bytes(40)):
        weights.write_bytes(content)
        assert "is damaged" in find_damage(run, STAGE_NAMES)[0].problem
    weights.write_bytes(whole)
    assert find_damage(run, STAGE_NAMES) == []


def test_a_run_with_damage_does_nothing_until_it_is_mended(run: Path, whole: Path) -> None:
    """Neither the damaged stage nor a later one is taken for done; the stage done again makes the run whole."""
    (run / "data/pairs.parquet").unlink()
    before = table_bytes(run)
    with open_run(small_recipe(run.parent / "recipe"), run, recipe_text=RECIPE) as opened:
        for names in (["prompts", "label"], STAGE_NAMES):
            with pytest.raises(RunError, match=r"pairs\.parquet: is missing; .*charter pairs .* --again"):
                run_stages(opened, names)
        assert table_bytes(run) == before
        run_stages(opened, STAGE_NAMES[:3])  # which do not need it
        run_stages(opened, STAGE_NAMES, again="pairs")
    assert table_bytes(run) == table_bytes(whole)
