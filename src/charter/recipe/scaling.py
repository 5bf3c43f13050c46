"""A recipe made larger or smaller by one number."""

from __future__ import annotations

from typing import TypeVar

from charter.recipe.settings import PromptSource, Recipe
from charter.recipe.settings.section import Settings

SectionT = TypeVar("SectionT", bound=Settings)
OptionalT = TypeVar("OptionalT", bound=Settings | None)


def scaled(recipe: Recipe) -> Recipe:
    """Multiply by a recipe's ``scale`` how many prompts, pairs and rows it asks for, and set that to 1.

    What is not limited stays so, and of nothing comes nothing; of anything else at least one. Rates, lengths, rounds,
    principles, batches and what an evaluation asks of each prompt stay: they say how a thing is done.
    """
    factor = recipe.scale
    if factor == 1.0:
        return recipe
    prompts = recipe.prompts
    sources = {kind: _times(source, factor, "limit") for kind, source in _sources(recipe).items()}
    numbers = ("n_evaluation", "n_evaluation_helpful", "n_train", "n_train_helpful")
    generate = _times(prompts.generate, factor, "n_per_principle", "n_helpful")
    return recipe.model_copy(
        update={
            "scale": 1.0,
            "prompts": _times(prompts.model_copy(update={**sources, "generate": generate}), factor, *numbers),
            "revise": _less_given(recipe.revise, factor, "given"),
            "pairs": _times(_less_given(recipe.pairs, factor, "given"), factor, "n"),
            "preference_model": _less_given(recipe.preference_model, factor, "helpfulness"),
            "dpo": _less_given(recipe.dpo, factor, "helpfulness"),
            "rl": None if recipe.rl is None else _times(recipe.rl, factor, "n"),
        }
    )


def _sources(recipe: Recipe) -> dict[str, PromptSource]:
    return {str(kind): source for kind, source in recipe.prompts.sources().items()}


def _less_given(section: OptionalT, factor: float, key: str) -> OptionalT:
    """Multiply how many of the rows are taken that a section names."""
    given = getattr(section, key, None)
    if section is None or given is None:
        return section
    return section.model_copy(update={key: _times(given, factor, "limit")})


def _times(section: SectionT, factor: float, *keys: str) -> SectionT:
    """Multiply some of a section's numbers."""
    before = {key: getattr(section, key) for key in keys}
    return section.model_copy(update={key: n and max(1, round(n * factor)) for key, n in before.items()})
