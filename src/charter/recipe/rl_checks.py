"""Which values of ``rl`` do not fit together, or to the rest of a recipe (see ``contradictions``)."""

from __future__ import annotations

from collections.abc import Iterator

from charter.recipe.settings import Recipe

Where = tuple[str, ...]


def rl_contradictions(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    """Find values that contradict each other; the place of each, and a sentence with the remedy."""
    settings = recipe.rl
    if settings is None:
        return
    parts = settings.rewards
    if not any((parts.preference_model, parts.judge, parts.length, parts.repetition, parts.boilerplate)):
        yield ("rl", "rewards"), "'rl.rewards' gives no part a weight; give one, such as preference_model=1"
    if parts.preference_model and recipe.preference_model is None:
        problem = "'rl.rewards.preference_model' has a weight, and the recipe trains no preference model"
        remedy = "set preference_model={} to train one, or rl.rewards.preference_model=0 and another part's weight"
        yield ("rl", "rewards", "preference_model"), f"{problem}; {remedy}"
    if settings.start == "dpo" and recipe.dpo is None:
        yield ("rl", "start"), "'rl.start' is 'dpo', and 'dpo' is null; set dpo={}, or rl.start=sft"
    n_answers = settings.batch_size * settings.accumulation
    if n_answers % settings.n_samples:
        problem = f"'rl.batch_size' times 'rl.accumulation' is {n_answers}, no multiple of 'rl.n_samples'"
        yield ("rl", "batch_size"), f"{problem}, {settings.n_samples}; make it one"
    there = recipe.prompts.sources()
    for kind in settings.kinds:
        if kind not in there:
            problem = f"'rl.kinds' names {kind}, and 'prompts.{kind}' is null"
            yield ("rl", "kinds"), f"{problem}; give it prompts, or take it out here"


def rl_doubts(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    """Find values that do less than they seem to; the place of each, and what is to be said of it, with the remedy."""
    settings, second = recipe.rl, recipe.models.second_judge
    if second is not None and (settings is None or settings.guard is None):
        what = "rl" if settings is None else "rl.guard"
        yield ("models", "second_judge"), f"does nothing without {what}; take it out"
    if settings is None:
        return
    if settings.guard is not None and second is None:
        yield ("rl", "guard"), "asks no second judge whether a reward is earned; name one (models.second_judge)"
    trained_against = settings.rewards.judge or settings.rewards.preference_model
    if second is not None and trained_against and second == (recipe.models.judge or recipe.models.policy):
        problem = "is the model of models.judge, whose verdicts are what is rewarded: both overlook the same"
        yield ("models", "second_judge"), f"{problem}; name another model"
    if settings.beta == 0.0:
        yield ("rl", "beta"), "is 0, so that nothing holds the policy to its first model; take 0.05 or so"
    if recipe.training.launch is not None:
        yield ("training", "launch"), "starts no processes for rl, which trains in the run's own"
