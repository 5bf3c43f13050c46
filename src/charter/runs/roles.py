"""The models of a run: who plays which role, and who is measured beside them."""

from __future__ import annotations

from charter.engines.specs import ModelSpec
from charter.recipe import Recipe
from charter.recipe.settings import ModelSettings

_FURTHER = "judge "  # before the name of a further judge, in its role's


def role_specs(recipe: Recipe) -> dict[str, ModelSpec]:
    """Give each role its model; a role that the recipe leaves out is played by the policy."""
    policy = recipe.models.policy
    named: dict[str, ModelSettings] = {
        "policy": policy,
        "critic": recipe.models.critic or policy,
        "reviser": recipe.models.reviser or recipe.models.critic or policy,
        "judge": recipe.models.judge or policy,
        "red_team": recipe.models.red_team or policy,
    }
    if recipe.models.second_judge is not None:
        named["second_judge"] = recipe.models.second_judge
    named |= {judge_role(name): judge.model for name, judge in recipe.label.judges.items()}
    return {role: ModelSpec(**model.model_dump()) for role, model in named.items()}


def judge_role(name: str) -> str:
    """Name the role of a further judge."""
    return f"{_FURTHER}{name}"


def role_key(role: str) -> str:
    """Say by which key a recipe names the model of a role."""
    return f"label.judges.{role.removeprefix(_FURTHER)}.model" if role.startswith(_FURTHER) else f"models.{role}"


def other_specs(recipe: Recipe) -> dict[str, ModelSpec]:
    """Give the further models that are put to probes, by their names in figures."""
    return {name: ModelSpec(**model.model_dump()) for name, model in recipe.evaluate.others.items()}


def model_specs(recipe: Recipe) -> dict[str, ModelSpec]:
    """Give every model that a run loads, by its role or, of a further one, by ``other`` and its name."""
    return role_specs(recipe) | {f"other {name}": spec for name, spec in other_specs(recipe).items()}
