"""Whether a recipe's calibrator is one, and is the judge's own."""

from __future__ import annotations

from pathlib import Path

from charter.feedback.calibrator import read_calibrator
from charter.planning.findings import Preflight
from charter.planning.places import path_hint
from charter.recipe import Recipe
from charter.runs.folder import role_specs


def look_at_calibrator(report: Preflight, recipe: Recipe) -> None:
    """Read the recipe's calibrator; what is wrong with it, or does not fit the judge, goes into the report."""
    file, about = recipe.label.calibrator, "label.calibrator"
    if file is None:
        return
    found = report.tried(about, read_calibrator, Path(file), hint=path_hint(file))
    if found is None:
        return
    judge = role_specs(recipe)["judge"].name
    if found.judge != judge:
        problem = f"{file}: was fitted on {found.judge}, and the recipe's judge is {judge}"
        report.add("warning", about, f"{problem}; fit another with 'charter audit', or leave it out")
    if found.chains != recipe.label.chains:
        problem = (
            f"{file}: was fitted with {found.chains} chains of thought, and 'label.chains' is {recipe.label.chains}"
        )
        report.add("warning", about, f"{problem}: probabilities behind chains are others; fit one with --chains")
