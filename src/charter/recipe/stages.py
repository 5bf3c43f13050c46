"""The stages of a recipe: all but those whose section is null, those on feedback once for each iteration.

A stage of an iteration after the first is named after it: ``dpo-2`` is the second training by DPO.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar, cast

from charter.errors import RecipeError
from charter.recipe.settings import MixedSettings, Recipe, Stage, TextTrainingSettings, TrainingSettings
from charter.spelling import hint

#: Every stage there is, in order.
STAGE_NAMES: tuple[str, ...] = typing.get_args(Stage)
#: The stages that train.
TRAINING_STAGES = ("sft", "preference_model", "dpo", "rl")
#: Those of them whose model answers people.
POLICY_STAGES = ("sft", "dpo", "rl")
#: Those that ask models while they train, in the process that trains.
ASKING_STAGES = ("rl",)
#: The stages that each iteration does, in order.
ITERATED = ("pairs", "label", "preference_model", "dpo", "rl")
_OF_ITERATION = re.compile(rf"(?P<stage>{'|'.join(ITERATED)})-(?P<iteration>[2-9]|[1-9][0-9])")
SettingsT = TypeVar("SettingsT")


class StageOf(NamedTuple):
    """What a stage of an iteration is: ``dpo-2`` is ``dpo``, in iteration 2."""

    stage: str
    iteration: int


def parted(name: str) -> StageOf:
    """Tell a stage from its iteration; stages that are done once are the first's."""
    found = _OF_ITERATION.fullmatch(name)
    return StageOf(name, 1) if found is None else StageOf(found["stage"], int(found["iteration"]))


def in_iteration(stage: str, iteration: int) -> str:
    """Name what a stage is called, and what it makes, in an iteration."""
    return stage if iteration == 1 else f"{stage}-{iteration}"


def stages_of(recipe: Recipe) -> tuple[str, ...]:
    """Name the stages that a recipe does, in order."""
    return iterated([name for name in STAGE_NAMES if getattr(recipe, name) is not None], recipe.iterations)


def iterated(names: Sequence[str], n: int) -> tuple[str, ...]:
    """Put behind the stages of the first iteration, which are given in order, those of the others up to ``n``."""
    again = [name for name in names if name in ITERATED]
    end = 1 + max((names.index(name) for name in again), default=-1)
    later = [in_iteration(name, number) for number in range(2, n + 1) for name in again]
    return (*names[:end], *later, *names[end:])


def without_iterations(names: Iterable[str]) -> tuple[str, ...]:
    """Name stages as the first iteration calls them, each once."""
    return tuple(dict.fromkeys(parted(name).stage for name in names))


def policies_of(recipe: Recipe) -> tuple[str, ...]:
    """Name the stages of a recipe whose models answer people, in order."""
    return tuple(name for name in stages_of(recipe) if parted(name).stage in POLICY_STAGES)


def policy_before(recipe: Recipe, iteration: int) -> str:
    """Name the stage whose model an iteration begins from: SFT's, and then the last that the one before trained."""
    return [name for name in policies_of(recipe) if parted(name).iteration < iteration or name == "sft"][-1]


def stages_to_do(recipe: Recipe, names: Sequence[str]) -> list[str]:
    """Keep of some stages, in order, those that a recipe does; the last of them is asked for, the others lead to it.

    Raises:
        RecipeError: where the recipe does not do the last, with the key that says so.
    """
    done = stages_of(recipe)
    if names:
        _require_done(recipe, names[-1], done)
    return [name for name in names if name in done]


def stages_until(recipe: Recipe, last: str) -> list[str]:
    """Name the stages that a recipe does, up to the last that is asked for.

    Raises:
        RecipeError: where the recipe does not do that one, with the key that says so.
    """
    done = stages_of(recipe)
    _require_done(recipe, last, done)
    return list(done[: done.index(last) + 1])


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


def mixtures(recipe: Recipe) -> dict[str, MixedSettings]:
    """Give the settings of the trainings that mix people's preferences with the AI's, those that a recipe does."""
    found = {"preference_model": recipe.preference_model, "dpo": recipe.dpo}
    return {stage: settings for stage, settings in found.items() if settings is not None}


def training_settings(recipe: Recipe, stage: str) -> TrainingSettings:
    """Give what a stage that trains has in common with the others.

    Raises:
        RecipeError: where the recipe does not do it.
    """
    return cast("TrainingSettings", settings_of(getattr(recipe, parted(stage).stage), stage))


def verb_of(stage: str) -> list[str]:
    """Write the command that does a stage alone, as words, but for the recipe."""
    name, iteration = parted(stage)
    return [name.replace("_", "-"), *([] if iteration == 1 else ["--iteration", str(iteration)])]


def _require_done(recipe: Recipe, stage: str, done: Sequence[str]) -> None:
    if stage in done:
        return
    name, iteration = parted(stage)
    if name not in STAGE_NAMES:
        raise RecipeError(f"there is no stage {stage!r}; this recipe does {', '.join(done)}{hint(stage, done)}")
    if iteration > recipe.iterations:
        raise RecipeError(
            f"stage {stage!r} is asked for, and 'iterations' is {recipe.iterations}; set iterations={iteration}, in a "
            "new folder (--out) where the run has begun without it"
        )
    raise _not_done(name)


def _not_done(stage: str) -> RecipeError:
    more = ", with preference_model={} or other rewards (rl.rewards)," if stage == "rl" else ""
    return RecipeError(
        f"stage {stage!r} is asked for, and the recipe does not do it: {stage!r} is null there; set {stage}={{}}{more} "
        "to do it with its defaults, in a new folder (--out) where the run has begun without it"
    )
