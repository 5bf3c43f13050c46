"""Runs side by side: arms, paired rows, adjusted p-values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from charter.errors import RunError
from charter.evaluation.arms import MeasuredRun, arms_of, compare_arms, differing_settings
from charter.evaluation.measuring import measure
from charter.files.tables import read_table, write_table
from charter.recipe import Recipe
from charter.records import Figures, MeasuredRow
from charter.statistics import holm, paired_mean_difference, paired_rate_difference, seed_averaged_difference


def run_of(
    name: str,
    values: Mapping[str, Mapping[str, float]],
    *,
    seed: int = 0,
    rounds: int = 2,
    groups: Mapping[str, str] | None = None,
) -> MeasuredRun:
    """Make a run of which one figure, objection, was measured for some models."""
    recipe = Recipe.model_validate(
        {
            "name": Path(name).name,
            "seed": seed,
            "constitution": "harmless",
            "models": {"policy": {"name": "small", "engine": "scripted"}},
            "revise": {"rounds": rounds},
        }
    )
    found = measure("objection", values, subset="red_team", base="base", better="higher", groups=groups)
    figures = Figures(models=tuple(values), measurements=tuple(found))
    return MeasuredRun(Path(name), recipe, figures, [row for one in found for row in one.measured])


def rows(*values: float) -> dict[str, float]:
    """Number rows."""
    return {str(number): value for number, value in enumerate(values)}


FEW, MANY = rows(0, 0, 0, 1, 0, 1, 0, 0), rows(1, 1, 0, 1, 1, 1, 0, 1)


def test_two_recipes_are_paired_row_by_row() -> None:
    """Difference, interval and test are those of the paired rows of both final models."""
    one = run_of("one", {"base": FEW, "dpo": FEW})
    two = run_of("two", {"base": FEW, "dpo": MANY}, rounds=4)
    found = compare_arms(arms_of([one, two]))
    (contrast,) = found.contrasts["two"]
    expected = paired_rate_difference([*FEW.values()], [*MANY.values()])
    assert contrast.after.difference == pytest.approx(expected.difference) == 0.5
    assert (contrast.after.difference_low, contrast.after.difference_high) == (expected.low, expected.high)
    assert contrast.after.p_value == pytest.approx(expected.p_value)
    assert (contrast.before.value, contrast.after.value, contrast.after.n) == (0.25, 0.75, 8)
    assert differing_settings(found.arms) == {"revise.rounds": ["2", "4"]}
    assert {row for row, change in contrast.rows.items() if change} == {"0", "1", "4", "7"}


def test_a_section_that_one_arm_leaves_out_is_named_once() -> None:
    """Its keys are settings of the other arm alone, and say no more than that it has the section."""
    one, two = run_of("one", {"base": FEW}), run_of("two", {"base": MANY})
    guarded = two.recipe.model_dump(mode="json", exclude_none=True) | {"preference_model": {}, "name": "one"}
    found = differing_settings([*arms_of([one, replace(two, recipe=Recipe.model_validate(guarded))])])
    assert {key: told for key, told in found.items() if key.startswith("preference_model")} == {
        "preference_model": ["empty (null)", "set"]
    }


def test_rows_of_one_arm_alone_are_left_out() -> None:
    """Values are over the rows that both arms have."""
    one = run_of("one", {"base": rows(0, 1, 0, 1)})
    two = run_of("two", {"base": rows(1, 1)}, rounds=4)
    (contrast,) = compare_arms(arms_of([one, two])).contrasts["two"]
    assert (contrast.before.n, contrast.before.value, contrast.after.value) == (2, 0.5, 1.0)


def test_without_a_common_row_nothing_is_compared() -> None:
    """The figure is named instead."""
    one = run_of("one", {"base": {"x": 1.0}})
    two = run_of("two", {"base": {"y": 1.0}}, rounds=4)
    found = compare_arms(arms_of([one, two]))
    assert found.contrasts["two"] == ()
    assert found.uncompared["two"] == (("objection", "red_team"),)


def test_seeds_are_one_arm_held_against_its_base() -> None:
    """Each prompt's values are averaged over the seeds, and each seed's own difference is told."""
    seeds = [
        run_of("zero", {"base": FEW, "dpo": MANY}, seed=0),
        run_of("one", {"base": FEW, "dpo": FEW}, seed=1),
    ]
    arms = arms_of(seeds)
    assert [(arm.name, arm.model, len(arm.runs)) for arm in arms] == [("base", "base", 2), ("dpo", "dpo", 2)]
    (contrast,) = compare_arms(arms).contrasts["dpo"]
    expected = seed_averaged_difference([[*FEW.values()]] * 2, [[*MANY.values()], [*FEW.values()]])
    assert contrast.after.difference == pytest.approx(expected.difference) == 0.25
    assert (contrast.after.difference_low, contrast.after.difference_high) == (expected.low, expected.high)
    assert contrast.after.unit == "rate"
    assert contrast.per_seed == (0.5, 0.0)


def test_rows_keep_their_groups() -> None:
    """A prompt and its twin count together, as they did in the evaluation."""
    together = {row: str(int(row) // 2) for row in FEW}
    one = run_of("one", {"base": FEW}, groups=together)
    two = run_of("two", {"base": MANY}, groups=together, rounds=4)
    (contrast,) = compare_arms(arms_of([one, two])).contrasts["two"]
    assert contrast.after.n_groups == 4


def test_p_values_are_adjusted_for_all_arms_together() -> None:
    """Two arms against the first are two tests."""
    one = run_of("one", {"base": FEW})
    others = [run_of(name, {"base": MANY}, rounds=n) for name, n in (("two", 3), ("three", 4))]
    found = compare_arms(arms_of([one, *others]))
    alone = paired_rate_difference([*FEW.values()], [*MANY.values()]).p_value
    adjusted = [several[0].after.p_value for several in found.contrasts.values()]
    assert adjusted == holm([alone, alone]) == [pytest.approx(2 * alone)] * 2
    assert found.n_tests == 2


def test_a_model_that_was_not_measured_is_refused() -> None:
    """The run is named, and what it has; and so is one that is named twice."""
    one = run_of("one", {"base": FEW, "sft": MANY})
    two = run_of("two", {"base": FEW}, seed=1)
    with pytest.raises(RunError, match=r"two: measured no model 'sft'; it has base"):
        arms_of([one, two], "sft")
    with pytest.raises(RunError, match="named twice"):
        arms_of([one, one])


def test_what_a_figure_summarises_is_kept(tmp_path: Path) -> None:
    """The rows behind it go through a table of their own, and not into the figures' file."""
    (found,) = measure("objection", {"base": {"x": 0.5, "y": 1.0}}, subset="red_team", groups={"x": "g", "y": "g"})
    write_table(tmp_path / "measured.parquet", found.measured, MeasuredRow)
    back = read_table(tmp_path / "measured.parquet", MeasuredRow)
    assert tuple(back) == found.measured
    assert [(one.row, one.group, one.value) for one in back] == [("x", "g", 0.5), ("y", "g", 1.0)]
    assert "measured" not in found.to_json()


def test_arms_of_unequal_size_are_paired_by_their_means() -> None:
    """Two seeds against one: each row's mean is paired with the other arm's value; no seed has one beside it."""
    one = run_of("one", {"base": FEW})
    others = [run_of("two", {"base": MANY}, rounds=4), run_of("three", {"base": FEW}, rounds=4, seed=1)]
    (contrast,) = compare_arms(arms_of([one, *others])).contrasts["two, three"]
    expected = paired_mean_difference([*FEW.values()], [(FEW[row] + MANY[row]) / 2 for row in FEW])
    assert contrast.after.difference == pytest.approx(expected.difference)
    assert (contrast.after.difference_low, contrast.after.difference_high) == (expected.low, expected.high)
    assert contrast.per_seed == ()


def test_seeds_in_which_nothing_changed_have_an_interval_with_width() -> None:
    """Eight prompts without a change do not say that none ever changes."""
    seeds = [run_of(name, {"base": FEW, "dpo": FEW}, seed=seed) for seed, name in enumerate(("zero", "one"))]
    (contrast,) = compare_arms(arms_of(seeds)).contrasts["dpo"]
    assert contrast.after.difference_low is not None
    assert contrast.after.difference_high is not None
    assert contrast.after.difference_low < 0 < contrast.after.difference_high


def test_folders_of_one_name_are_told_apart() -> None:
    """Runs called alike in different folders are called by their paths."""
    arms = arms_of([run_of("a/smoke", {"base": FEW}), run_of("b/smoke", {"base": MANY}, rounds=4)])
    assert [arm.name for arm in arms] == ["a/smoke", "b/smoke"]
    assert len(compare_arms(arms).contrasts["b/smoke"]) == 1


def test_a_base_is_not_held_against_itself() -> None:
    """Seeds of one recipe whose base is asked for, or that have no other model."""
    with pytest.raises(RunError, match="'base' is what its models are held against"):
        arms_of([run_of("one", {"base": FEW, "dpo": MANY})], "base")
    with pytest.raises(RunError, match="'base' is what its models are held against"):
        arms_of([run_of("one", {"base": FEW})])
