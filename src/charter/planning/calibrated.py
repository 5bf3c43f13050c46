"""Whether a recipe's calibrators are such, and their judges' own."""

from __future__ import annotations

from pathlib import Path

from charter.constitution import load_constitution
from charter.errors import CharterError
from charter.feedback.calibrator import misfits, read_calibrator
from charter.planning.findings import Preflight
from charter.planning.places import path_hint
from charter.recipe import Recipe
from charter.runs.roles import role_specs
from charter.stages.label import asked_of


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
    kinds = [kind for kind, share in recipe.pairs.kinds.items() if share and recipe.pairs.n]
    problems = misfits(
        found,
        judge=judge,
        chains=recipe.label.chains,
        constitution=_name(recipe.constitution.source),
        asked=asked_of(recipe, _name(recipe.constitution.helpful), kinds),
    )
    for problem in problems:
        report.add("warning", about, f"{file}: {problem}")


def _name(constitution: str) -> str | None:
    """Give a constitution's own name; what is wrong with it is told elsewhere."""
    try:
        return load_constitution(constitution).name
    except CharterError:
        return None
