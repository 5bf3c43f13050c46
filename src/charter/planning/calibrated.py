"""Whether a recipe's calibrators are such, and their judges' own."""

from __future__ import annotations

from pathlib import Path

from charter.feedback.calibrator import read_calibrator
from charter.planning.findings import Preflight
from charter.planning.places import path_hint
from charter.recipe import Recipe
from charter.runs.folder import role_specs


def look_at_calibrators(report: Preflight, recipe: Recipe) -> None:
    """Read the recipe's calibrators; what is wrong with one, or does not fit its judge, goes into the report."""
    _look(report, recipe, "label.calibrator", recipe.label.calibrator, role_specs(recipe)["judge"].name)
    for name, judge in recipe.label.judges.items():
        _look(report, recipe, f"label.judges.{name}.calibrator", judge.calibrator, judge.model.name)


def _look(report: Preflight, recipe: Recipe, about: str, file: str | None, judge: str) -> None:
    if file is None:
        return
    found = report.tried(about, read_calibrator, Path(file), hint=path_hint(file))
    if found is None:
        return
    if found.judge != judge:
        problem = f"{file}: was fitted on {found.judge}, and the recipe's judge is {judge}"
        report.add("warning", about, f"{problem}; fit another with 'charter audit', or leave it out")
    if found.chains != recipe.label.chains:
        problem = (
            f"{file}: was fitted with {found.chains} chains of thought, and 'label.chains' is {recipe.label.chains}"
        )
        report.add("warning", about, f"{problem}: probabilities behind chains are others; fit one with --chains")
