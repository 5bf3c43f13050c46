"""What the trainings on pairs read: a preference model's and DPO's. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from charter.feedback.pair_plans import PairPlan
from charter.planning.stage_plan import MAX_RENDERED, Given, StagePlan, answer_tokens
from charter.recipe.settings import MixedSettings, TextTrainingSettings
from charter.records import Pair
from charter.training.mixture import in_shares
from charter.training.pair_lengths import pays_to_share

_EVEN = 0.5


def plan_preference_model(given: Given, pairs: Sequence[PairPlan | Pair]) -> Iterator[StagePlan]:
    """Every pair that is not held out, people's with them; then rewards of both sides of the others and as many."""
    settings, held_out = given.recipe.preference_model, given.recipe.label.held_out
    if settings is None:
        return
    people = _people_of(given, "preference_model", settings, len(pairs))
    of_prompts = _prompts_of(given, pairs) + people.prompts
    of_pairs = _tokens_of(given, pairs, settings) + people.prompts + people.responses
    rows = round((1.0 - held_out) * (len(pairs) + people.n))
    # Each side is given its reward behind a prompt of its own.
    sides = of_pairs + of_prompts
    tokens = _read(given, of_pairs, of_prompts)
    read = 2 * held_out * sides if held_out < _EVEN else sides
    kept = 1.0 - held_out
    training = given.training(rows, kept * tokens, 0.0, settings, sides=kept * sides, read=read)
    yield given.stage("preference_model", rows, {}, training=training, n_loads=2 if rows else 0)


def plan_dpo(given: Given, pairs: Sequence[PairPlan | Pair]) -> Iterator[StagePlan]:
    """Both sides of every pair that is not held out, read by the model and by its reference."""
    settings, kept = given.recipe.dpo, 1.0 - given.recipe.label.held_out
    if settings is None:
        return
    pairs = pairs if settings.kinds is None else in_shares(pairs, settings.kinds, given.recipe.seed)
    people = _people_of(given, "dpo", settings, kept * len(pairs))
    scored = kept * len(pairs) * 2 * opening(answer_tokens(given.recipe.pairs.max_tokens), settings) + people.responses
    of_prompts = kept * _prompts_of(given, pairs) + people.prompts
    of_pairs = kept * _tokens_of(given, pairs, settings) + people.prompts + people.responses
    rows = round(kept * len(pairs)) + people.n
    sides, tokens = of_pairs + of_prompts, _read(given, of_pairs, of_prompts)
    training = given.training(rows, tokens, scored, settings, sides=sides, read=tokens)
    yield given.stage("dpo", rows, {}, training=training, n_loads=1 if rows else 0)


class _People(NamedTuple):
    """Pairs of people that a training mixes in, and the tokens of their prompts and of their responses."""

    n: int
    prompts: float
    responses: float


def _people_of(given: Given, stage: str, settings: MixedSettings, n_of_ai: float) -> _People:
    """Count what a training mixes in for so many preferences of the AI; some are counted, the others are like them."""
    people = given.brought.people.get(stage, ())
    n = min(round(settings.helpfulness_ratio * n_of_ai), len(people))
    some = people[:MAX_RENDERED]
    responses = [sum(opening(given.sizer.count(side), settings) for side in (one.chosen, one.rejected)) for one in some]
    return _People(n, n * mean([given.sizer.prompt(one.prompt) for one in some]), n * mean(responses))


def _tokens_of(given: Given, pairs: Sequence[PairPlan | Pair], settings: TextTrainingSettings) -> float:
    """Count the tokens of pairs as far as a training looks at them, each prompt once."""
    response = opening(answer_tokens(given.recipe.pairs.max_tokens), settings)
    return _prompts_of(given, pairs) + 2 * response * len(pairs)


def _read(given: Given, of_pairs: float, of_prompts: float) -> float:
    """Count the tokens that a training reads: of each pair's prompt once, where both sides are read behind it."""
    return of_pairs if pays_to_share(of_pairs, of_prompts) and not given.spreads else of_pairs + of_prompts


def _prompts_of(given: Given, pairs: Sequence[PairPlan | Pair]) -> float:
    return sum(given.sizer.prompt(pair.prompt) for pair in pairs)


def opening(response: float, settings: TextTrainingSettings) -> float:
    """Say how many of a response's tokens are trained on."""
    return min(response, settings.opening_tokens or response)


def mean(values: Sequence[float]) -> float:
    """Take the mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
