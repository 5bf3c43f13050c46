"""``charter compare``: runs side by side, on the terminal."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli.command import Command
from run_examples import SMALL_STAGES, small_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Make two seeds of one recipe, and a run of another recipe on the same prompts."""
    made = []
    for name, overrides in (("zero", ()), ("one", ("seed=1",)), ("brief", ("evaluate.max_tokens=9",))):
        folder = tmp_path_factory.mktemp(name)
        made.append(small_run(folder, SMALL_STAGES, *overrides, "prompts.split_seed=0").rename(folder / name))
    return made


def test_recipes_are_held_against_one_another(charter: Command, runs: list[Path]) -> None:
    """Arms, the settings in which they differ, and a line a figure with interval and adjusted p-value."""
    done = charter("compare", runs[0], runs[2])
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[3].split() == ["zero", "dpo", "1", "0"]
    assert any(line.split()[:3] == ["evaluate.max_tokens", "128", "9"] for line in lines)
    assert any("Response length" in line for line in lines)
    assert "by seed" not in done.out
    assert "tests that are shown (Holm); intervals are not" in done.out
    assert ("Drift" in done.out) is ("drift: loss on the base's own sampled answers, which is not 0" in done.out)


def test_a_run_of_a_script_is_told(charter: Command, runs: list[Path], tmp_path: Path) -> None:
    """By its folder, from the recipe that it keeps; nothing is said of a run that models took part in."""
    scripted = charter("compare", runs[0], runs[2])
    assert f"{runs[2]}: A scripted model took part" in scripted.out
    real = shutil.copytree(runs[0], tmp_path / "real")
    kept = real / "recipe.resolved.yaml"
    kept.write_text(kept.read_text("utf-8").replace("engine: scripted", "engine: transformers"), "utf-8")
    mixed = charter("compare", real, runs[2])
    assert mixed.code == 0, mixed.err
    assert f"{runs[2]}: A scripted model took part (models.policy): its figures say nothing" in mixed.out
    assert f"{real}: A scripted" not in mixed.out
    assert list(charter("compare", real, runs[2], "--json").value["cautions"]) == [str(runs[2])]


def test_seeds_are_averaged_and_told_apart(charter: Command, runs: list[Path]) -> None:
    """Two seeds of one recipe are held against their base, with each seed's own difference."""
    done = charter("compare", runs[0], runs[1], "--json")
    found = done.value
    assert [(arm["name"], arm["seeds"]) for arm in found["arms"]] == [("base", [0, 1]), ("dpo", [0, 1])]
    objection = next(one for one in found["figures"] if one["name"] == "objection")
    assert len(objection["per_seed"]) == 2
    assert objection["difference"] == pytest.approx(sum(objection["per_seed"]) / 2)
    assert found["n_tests"] == sum(one["p_value"] is not None for one in found["figures"])


def test_the_rows_behind_a_difference_are_named(charter: Command, runs: list[Path]) -> None:
    """Rows that differ, the furthest first; their lives are what ``charter show`` tells."""
    done = charter("compare", runs[0], runs[2], "--rows", "response_length", "--most", "2")
    assert done.code == 0, done.err
    shown = done.out.splitlines()
    place = next(number for number, line in enumerate(shown) if "rows differ between zero and brief" in line)
    row = shown[place + 2].split()[0]
    assert shown[place + 4].startswith("a prompt's row is shown by")
    assert charter("show", runs[0], row).code == 0


def test_what_cannot_be_compared_is_explained(charter: Command, runs: list[Path], tmp_path: Path) -> None:
    """A folder that is no run, an unknown figure, a run that is named twice, an evaluation that was not done."""
    assert "is no run's folder" in charter("compare", runs[0], tmp_path).err
    assert 'did you mean "objection"' in charter("compare", *runs[:2], "--rows", "objections").err
    assert "named twice" in charter("compare", runs[0], runs[0]).err
    young = small_run(tmp_path / "young", ["prompts"])
    assert "nothing is measured there yet" in charter("compare", runs[0], young).err
    torn = shutil.copytree(runs[1], tmp_path / "torn")
    (torn / "data" / "measured.parquet").unlink()
    refused = charter("compare", runs[0], torn).err
    assert "measured.parquet: is missing" in refused
    assert "charter evaluate" in refused
