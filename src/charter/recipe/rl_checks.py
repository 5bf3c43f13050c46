"""Which values of ``rl`` do not fit together, or to the rest of a recipe (see ``contradictions``)."""

from __future__ import annotations

from collections.abc import Iterator

from charter.recipe.settings import ModelSettings, Recipe, RewardSettings, RlSettings

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
    if second is not None and settings.guard is not None:
        yield from _dependent(recipe, second)
    yield from _unlimited(settings)
    if settings.beta == 0.0:
        yield ("rl", "beta"), "is 0, so that nothing holds the policy to its first model; take 0.05 or so"
    if recipe.training.launch is not None:
        yield ("training", "launch"), "starts no processes for rl, which trains in the run's own"


def _dependent(recipe: Recipe, second: ModelSettings) -> Iterator[tuple[Where, str]]:
    """Say where a second judge is a model that is trained, or one that it is trained against: both overlook the same.

    However it is loaded: another number format or another length of context makes no other judge.
    """
    policy, settings = recipe.models.policy, recipe.rl
    where, rewards = ("models", "second_judge"), settings.rewards if settings is not None else RewardSettings()
    judges: dict[str, ModelSettings] = {}
    if rewards.judge or rewards.preference_model:
        judges["models.judge"] = recipe.models.judge or policy
    if rewards.preference_model:  # which was fitted to what all of them say
        judges |= {f"label.judges.{name}.model": one.model for name, one in recipe.label.judges.items()}
    alike = [key for key, one in judges.items() if _same(one, second)]
    if alike:
        problem = f"is the model of {', '.join(alike)}, whose verdicts are what is rewarded: both overlook the same"
        yield where, f"{problem}; name another model"
    elif _same(policy, second):
        yield where, "is the model of models.policy, which judges answers like its own; name another model"


def _same(one: ModelSettings, other: ModelSettings) -> bool:
    """Whether two models are one: its name, on this machine or at the same server."""
    return (one.name, one.server, one.key_name) == (other.name, other.server, other.key_name)


def _unlimited(settings: RlSettings) -> Iterator[tuple[Where, str]]:
    """Say which limits of the guard nothing can pass, for the answers are none that they hold for."""
    if settings.guard is None:
        return
    if set(settings.kinds) == {"red_team"}:
        problem = "has red-team prompts alone, so that the guard sees no refusal of what is harmless"
        yield ("rl", "kinds"), f"{problem}; add helpful or benign_twin"
    if settings.beta == 0.0:
        yield (
            ("rl", "guard"),
            "measures no KL where rl.beta is 0, so that rl.guard.kl limits nothing; give beta a weight",
        )
