"""The stages of a recipe: all but those whose section is null."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import TypeVar, cast

from charter.errors import RecipeError
from charter.recipe.settings import Recipe, Stage, TextTrainingSettings, TrainingSettings

#: Every stage there is, in order.
STAGE_NAMES: tuple[str, ...] = typing.get_args(Stage)
#: The stages that train.
TRAINING_STAGES = ("sft", "preference_model", "dpo", "rl")
SettingsT = TypeVar("SettingsT")


def stages_of(recipe: Recipe) -> tuple[str, ...]:
    """Name the stages that a recipe does, in order."""
    return tuple(name for name in STAGE_NAMES if getattr(recipe, name) is not None)


def stages_to_do(recipe: Recipe, names: Sequence[str]) -> list[str]:
    """Keep of some stages, in order, those that a recipe does; the last of them is asked for, the others lead to it.

    Raises:
        RecipeError: where the recipe does not do the last, with the key that says so.
    """
    done = stages_of(recipe)
    if names and names[-1] not in done:
        raise _not_done(names[-1])
    return [name for name in names if name in done]


def settings_of(section: SettingsT | None, stage: str) -> SettingsT:
    """Give the section of a stage that is being done.

    Raises:
        RecipeError: where the recipe does not do it.
    """
    if section is None:
        raise _not_done(stage)
    return section


def text_training_settings(recipe: Recipe, stage: str) -> TextTrainingSettings:
    """Give what a stage that trains on given texts has in common with the others that do.

    Raises:
        RecipeError: where the recipe does not do it.
    """
    return cast("TextTrainingSettings", training_settings(recipe, stage))


def training_settings(recipe: Recipe, stage: str) -> TrainingSettings:
    """Give what a stage that trains has in common with the others.

    Raises:
        RecipeError: where the recipe does not do it.
    """
    return cast("TrainingSettings", settings_of(getattr(recipe, stage), stage))


def verb_of(stage: str) -> str:
    """Name the command that does a stage alone."""
    return stage.replace("_", "-")


def _not_done(stage: str) -> RecipeError:
    return RecipeError(
        f"stage {stage!r} is asked for, and the recipe does not do it: {stage!r} is null there; set {stage}={{}} to do "
        "it with its defaults, in a new folder (--out) where the run has begun without it"
    )
