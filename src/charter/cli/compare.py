"""``charter compare``: runs side by side, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.options import AsJson, examples
from charter.cli.results import plain, size_cell

if TYPE_CHECKING:
    from charter.evaluation.arms import Arm, Contrast, MeasuredRun, SideBySide

_Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="The folders of runs.", show_default=False)]
_Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Which model of each run: base, sft, dpo, rl; the final one of each if not given.",
        show_default=False,
    ),
]
_Rows = Annotated[
    str | None,
    typer.Option(
        "--rows",
        metavar="FIGURE",
        help="Name the rows in which arms differ in a figure, such as objection, the furthest apart first.",
        show_default=False,
    ),
]
_Most = Annotated[int, typer.Option("--most", min=1, help="How many rows are shown at most.")]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "compare",
        epilog=examples(
            "charter compare runs/harmless runs/wellbeing",
            "charter compare runs/zero runs/one runs/two",
            "charter compare runs/plain runs/calibrated --model dpo --rows objection",
            "charter compare runs/plain runs/calibrated --json",
        ),
    )(compare)


def compare(runs: _Runs, model: _Model = None, rows: _Rows = None, most: _Most = 20, as_json: AsJson = False) -> None:
    """Compare what runs measured, row by row: constitutions, recipes, seeds.

    Runs that differ in their seed alone are one arm, whose values are averaged; every arm is held against the first.
    Of a single arm the final model is held against the base. Rows are paired, intervals are 95 %, and p-values are
    adjusted for all tests that are shown (Holm). What got worse comes first.
    """
    from charter.evaluation.arms import arms_of, compare_arms, differing_settings

    found = compare_arms(arms_of([_read(run) for run in runs], model))
    if rows:
        _require_figure(found, rows)
    if as_json:
        console.write_json(_plain_values(found, differing_settings(found.arms), rows))
        return
    _write_cautions(found.arms)
    _write_arms(found.arms, differing_settings(found.arms))
    for arm in found.arms[1:]:
        _write_arm(found, arm)
    _write_reading(found)
    if rows:
        _write_rows(found, rows, most)


def _read(folder: Path) -> MeasuredRun:
    """Read what a run's evaluation measured.

    Raises:
        RunError: where the folder is none of a run, nothing is measured yet, or a file is damaged.
    """
    from charter.damage import find_damage, read_figures
    from charter.errors import RunError
    from charter.evaluation.arms import MeasuredRun
    from charter.files.tables import read_table
    from charter.records import MeasuredRow
    from charter.status import read_run_recipe

    recipe, figures = read_run_recipe(folder), folder / "evaluation.json"
    damage = find_damage(folder, ["evaluate"])
    if damage:
        raise RunError(str(damage[0]))
    if not figures.exists():
        raise RunError(f"{folder}: nothing is measured there yet; run its stage evaluate first")
    rows = read_table(folder / "data" / "measured.parquet", MeasuredRow)
    return MeasuredRun(folder, recipe, read_figures(figures), rows)


def _cautions(arms: Sequence[Arm]) -> dict[str, str]:
    """Say of each run in which a script took a model's part what that makes of its figures, by its folder."""
    from charter.recipe.writing import recipe_values
    from charter.reporting.cautions import script_caution

    runs = {str(run.folder): run for arm in arms for run in arm.runs}
    said = {folder: script_caution(recipe_values(run.recipe)) for folder, run in runs.items()}
    return {folder: caution for folder, caution in said.items() if caution}


def _write_cautions(arms: Sequence[Arm]) -> None:
    for folder, caution in _cautions(arms).items():
        console.write(f"{folder}: {plain(caution)}")


def _write_reading(found: SideBySide) -> None:
    """Say how the tables are read: what is adjusted, and what a figure is whose name does not say it."""
    from charter.reporting import wording

    console.write()
    if found.n_tests:
        console.write(
            f"p-values are adjusted for all {found.n_tests} tests that are shown (Holm); intervals are not: each "
            "is of its row alone"
        )
    if any(one.after.name == "drift" for several in found.contrasts.values() for one in several):
        console.write(f"drift: {wording.DRIFT}")


def _write_arms(arms: tuple[Arm, ...], differing: dict[str, list[str]]) -> None:
    cells = [
        (arm.name, arm.model, str(len(arm.runs)), ", ".join(str(run.recipe.seed) for run in arm.runs)) for arm in arms
    ]
    console.write_columns(("arm", "model", "runs", "seeds"), cells, right=(2,))
    if differing:
        console.write()
        console.write_columns(("setting", *(arm.name for arm in arms)), [(key, *differing[key]) for key in differing])


def _write_arm(found: SideBySide, arm: Arm) -> None:
    from charter.reporting.verdict import weigh

    first, contrasts = found.arms[0], found.contrasts[arm.name]
    findings = weigh((first.name, arm.name), tuple(one for both in contrasts for one in (both.before, both.after)))
    by_figure = {one.figure: one for one in contrasts}
    cells = [
        _cells(word, by_figure[change.measurement.name, change.measurement.subset])
        for word, changes in (
            ("worse", findings.worse),
            ("unclear", findings.unclear),
            ("better", findings.better),
            ("", findings.neutral),
        )
        for change in changes
    ]
    header = ("", "figure", first.name, arm.name, "difference", "95 % interval", "p", "n", "by seed")
    n_columns = len(header) if any(row[-1] for row in cells) else len(header) - 1
    console.write()
    console.write_columns(header[:n_columns], [row[:n_columns] for row in cells], right=range(2, 8))
    if found.uncompared[arm.name]:
        console.write(f"not compared, having no row in common or none kept: {_listed(found.uncompared[arm.name])}")


def _cells(word: str, one: Contrast) -> tuple[str, ...]:
    from charter.reporting import wording

    after, unit = one.after, one.after.unit
    cells = (
        wording.subject(after),
        wording.value(one.before.value, unit),
        wording.value(after.value, unit),
        wording.change(after.value - one.before.value, unit),
        wording.change_interval(after.difference_low, after.difference_high, unit),
        "" if after.p_value is None else wording.p_value(after.p_value),
        size_cell(after.n, after.n_groups),
        ", ".join(wording.change(seed, unit) for seed in one.per_seed),
    )
    return (word, *map(plain, cells))


def _listed(figures: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} ({subset})" if subset else name for name, subset in figures)


def _write_rows(found: SideBySide, figure: str, most: int) -> None:
    for arm in found.arms[1:]:
        for one in (one for one in found.contrasts[arm.name] if one.after.name == figure):
            changed = sorted((row for row, change in one.rows.items() if change), key=lambda row: -abs(one.rows[row]))
            console.write()
            console.write(
                f"{plain(_subject(one))}: {len(changed)} of {len(one.rows)} rows differ between {found.arms[0].name} "
                f"and {arm.name}"
            )
            console.write_columns(("row", "difference"), [(row, f"{one.rows[row]:+.3g}") for row in changed[:most]])
    console.write("a prompt's row is shown by: charter show RUN ROW")


def _subject(one: Contrast) -> str:
    from charter.reporting import wording

    return wording.subject(one.after)


def _require_figure(found: SideBySide, figure: str) -> None:
    from charter.errors import UserError
    from charter.spelling import hint

    names = sorted({one.after.name for several in found.contrasts.values() for one in several})
    if figure not in names:
        raise UserError(
            f"--rows {figure}: no such figure is compared here; there are {', '.join(names)}{hint(figure, names)}"
        )


def _plain_values(found: SideBySide, differing: dict[str, list[str]], rows: str | None) -> dict[str, Any]:
    return {
        "arms": [
            {
                "name": arm.name,
                "model": arm.model,
                "runs": [str(run.folder) for run in arm.runs],
                "seeds": [run.recipe.seed for run in arm.runs],
            }
            for arm in found.arms
        ],
        "cautions": _cautions(found.arms),
        "differing_settings": differing,
        "n_tests": found.n_tests,
        "figures": [
            one.after.model_dump(mode="json")
            | {"base_value": one.before.value, "per_seed": one.per_seed}
            | ({"changed": _changed(one)} if one.after.name == rows else {})
            for several in found.contrasts.values()
            for one in several
        ],
        "uncompared": {arm: [list(figure) for figure in some] for arm, some in found.uncompared.items()},
    }


def _changed(one: Contrast) -> dict[str, float]:
    return {row: change for row, change in one.rows.items() if change}
