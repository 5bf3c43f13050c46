"""Every role's model, and whether it can do what its roles are asked."""

from __future__ import annotations

from collections.abc import Sequence

from charter.engines.specs import ModelSpec
from charter.planning.findings import Preflight
from charter.planning.models import KnownModel, Look
from charter.planning.needs import list_needs, missing
from charter.recipe import Recipe
from charter.runs.roles import other_specs, role_key, role_specs


def look_at_roles(report: Preflight, recipe: Recipe, stages: Sequence[str], look: Look) -> dict[str, KnownModel]:
    """Look at every role's model, each model once, and whether it can do what its roles are asked."""
    specs = role_specs(recipe)
    known: dict[ModelSpec, KnownModel] = {}
    for role, spec in specs.items():
        if spec not in known:
            known[spec] = look(report, role_key(role), spec)
    needs = list(list_needs(recipe))
    for role, spec in specs.items():
        has = known[spec].capabilities
        for lacks in missing(needs, role, has, stages) if has is not None else ():
            report.add("error", role_key(role), f"{spec.name} {lacks}")
    if "evaluate" in stages:
        _other_models(report, recipe, look)
    return {role: known[spec] for role, spec in specs.items()}


def _other_models(report: Preflight, recipe: Recipe, look: Look) -> None:
    """Look at the further models that are put to the probes."""
    needed = {"chat", "score", *(["complete"] if recipe.evaluate.judge_adherence else [])}
    for name, spec in other_specs(recipe).items():
        about = f"evaluate.others.{name}"
        has = look(report, about, spec).capabilities
        if spec.engine == "http" and not recipe.evaluate.judge_adherence:
            problem = "tells no log-probabilities of given answers: set evaluate.judge_adherence to true, and the judge"
            report.add("error", about, f"{spec.name} {problem} reads what it answers itself")
        lacking = sorted(needed - has) if has is not None else []
        if lacking:
            report.add("error", about, f"{spec.name} lacks {', '.join(lacking)}, which probes need; take another model")
