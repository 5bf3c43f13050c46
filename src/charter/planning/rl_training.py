"""What reinforcement learning draws, reads and asks. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

from charter.planning.judging import comparing_load
from charter.planning.sizing import Load
from charter.planning.stage_plan import Given, StagePlan, answer_tokens
from charter.recipe.settings import RlSettings
from charter.training.meetings import meetings


def plan_rl(given: Given) -> Iterator[StagePlan]:
    """Groups of answers to every prompt that is not held out: drawn, rewarded, read by the reference, learnt from."""
    settings, kept = given.recipe.rl, 1.0 - given.recipe.label.held_out
    if settings is None:
        return
    asked = [prompt for kind in settings.kinds for prompt in given.train[kind]]
    n_prompts = kept * len(asked)
    n_prompts = n_prompts if settings.n is None else min(n_prompts, settings.n)
    prompt, response = given.plain(asked), answer_tokens(settings.max_tokens)
    n_answers = n_prompts * settings.n_samples
    tokens = n_answers * (prompt + response) * settings.n_updates
    read = settings.epochs * n_answers * (prompt + response) * (2 if settings.rewards.preference_model else 1)
    training = given.training(n_answers * settings.n_updates, tokens, n_answers * response, settings, read=read)
    drawn = Load()
    drawn.add(settings.epochs * n_answers, prompt, response)
    loads = {"policy": drawn} | _judged(given, settings, settings.epochs * n_prompts, training.steps)
    n_loads = 1 + bool(settings.rewards.preference_model) if n_prompts else 0
    yield given.stage("rl", round(n_prompts), loads, training=training, at_once=settings.batch_size, n_loads=n_loads)


def _judged(given: Given, settings: RlSettings, n_groups: float, n_steps: float) -> dict[str, Load]:
    """Both orders of every meeting in a group, and of a second judge's comparisons with the first answers."""
    loads: dict[str, Load] = {}
    if settings.rewards.judge:
        n_meetings = n_groups * len(meetings(settings.n_samples, settings.n_meetings))
        loads["judge"] = comparing_load(given, settings.kinds, n_meetings, settings.k_principles, settings.max_tokens)
    guard = settings.guard
    if guard is None:
        return loads
    # Of the first look the answers are compared with themselves: nobody is asked.
    n_compared = math.ceil(n_steps / guard.every) * 2 * guard.n_prompts
    looked_at = comparing_load(
        given, settings.kinds, n_compared, settings.k_principles, guard.max_tokens or settings.max_tokens
    )
    if settings.rewards.judge:
        loads["judge"] = Load([*loads["judge"].works, *looked_at.works])
    if given.recipe.models.second_judge is not None:
        loads["second_judge"] = looked_at
    return loads
