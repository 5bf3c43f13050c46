"""What a run would do, before anything is loaded: rows, calls, tokens and time of each stage. Pure.

Rows are counted as if none were filtered, calls as if none were remembered: a real run does at most this. Tokens come
from the very requests that the stages render, with answers of the lengths that ``answer_tokens`` expects. What rows
share (system texts, few-shots, the constitution) is read once. Times are estimates of all this (``rates``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from charter.constitution import Constitution
from charter.engines.base import Sampling
from charter.feedback.pair_plans import PairPlan, plan_pairs
from charter.feedback.pairs import guidance_messages
from charter.planning.hardware import NOTHING, Range
from charter.planning.judging import add_judging, checking_load, plan_label
from charter.planning.pair_trainings import mean, opening, plan_dpo, plan_preference_model
from charter.planning.rates import Rates
from charter.planning.rl_training import plan_rl
from charter.planning.sizing import CountTokens, Load, Sizer, estimate_tokens
from charter.planning.stage_plan import (
    MAX_RENDERED,
    NOTHING_BROUGHT,
    Brought,
    Given,
    StagePlan,
    answer_tokens,
)
from charter.planning.writing import writing_load
from charter.recipe import Recipe
from charter.recipe.stages import in_iteration, parted
from charter.records import Pair, PairSource, Prompt, PromptKind, Trace
from charter.revision.layouts import make_layout
from charter.seeds import row_id
from charter.training.mixture import to_sample

_QUESTION_TOKENS = 250  # of a multiple-choice row, about
# Answers without the constitution that a pair of each source takes.
_N_PLAIN: dict[PairSource, int] = {"on_policy": 2, "guided_vs_plain": 1, "revision_vs_initial": 0}


@dataclass(frozen=True)
class Plan:
    """Every stage of the recipe in order; ``basis`` says what the times stand on.

    ``money`` is what servers ask for a stage, where a price of any of them is known.
    """

    stages: tuple[StagePlan, ...]
    basis: tuple[str, ...]
    money: Mapping[str, Range] = field(default_factory=dict)

    def stage(self, name: str) -> StagePlan:
        """Find a stage by name."""
        return next(stage for stage in self.stages if stage.stage == name)

    def every(self, name: str) -> list[StagePlan]:
        """Find a stage in all iterations."""
        return [stage for stage in self.stages if parted(stage.stage).stage == name]

    @property
    def total(self) -> StagePlan:
        """All stages together; rows of different stages do not add up, and are left at 0."""
        return StagePlan(
            "total",
            0,
            calls=sum(stage.calls for stage in self.stages),
            prompt_tokens=sum(stage.prompt_tokens for stage in self.stages),
            completion_tokens=sum(stage.completion_tokens for stage in self.stages),
            trained_tokens=sum(stage.trained_tokens for stage in self.stages),
            seconds=sum(stage.seconds for stage in self.stages),
        )

    @property
    def total_money(self) -> Range | None:
        """What servers ask for all stages; None where no price is known."""
        return sum(self.money.values(), NOTHING) if self.money else None

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them."""
        return {
            "stages": [stage.to_dict() | self._money(self.money.get(stage.stage)) for stage in self.stages],
            "total": self.total.to_dict() | self._money(self.total_money),
            "basis": list(self.basis),
        }

    @staticmethod
    def _money(money: Range | None) -> dict[str, Any]:
        return {"money": asdict(money) if money else None}


def make_plan(
    recipe: Recipe,
    prompts: Sequence[Prompt],
    constitution: Constitution,
    helpful: Constitution,
    rates: Mapping[str, Rates],
    *,
    brought: Brought = NOTHING_BROUGHT,
    n_choices: int = 0,
    count: CountTokens = estimate_tokens,
    scale: float = 1.0,
    spreads: bool = False,
) -> Plan:
    """Plan a run.

    Args:
        recipe: what is run.
        prompts: for training and evaluation, split already.
        constitution: that is trained for.
        helpful: that judges helpfulness.
        rates: of the models of the roles ``policy``, ``critic``, ``reviser`` and ``judge``, and of ``red_team`` where
            prompts are written.
        brought: revisions and pairs of the training prompts, probes, and what is asked to write prompts.
        n_choices: multiple-choice questions that are asked, each counted once for every order of its options.
        count: tokens of a text.
        scale: plan for so many times what is trained on, all of it like what is there.
        spreads: whether processes share the weights that they train, each holding a part.
    """
    kinds: tuple[PromptKind, ...] = ("red_team", "benign_twin", "helpful")
    given = Given(
        recipe=recipe,
        constitution=constitution,
        helpful=helpful,
        rates=rates,
        sizer=Sizer(count),
        train={kind: [one for one in prompts if one.split == "train" and one.kind == kind] for kind in kinds},
        held_out={kind: [one for one in prompts if one.split == "evaluation" and one.kind == kind] for kind in kinds},
        brought=brought,
        scale=scale,
        spreads=spreads,
    )
    feedback = [one for number in range(1, recipe.iterations + 1) for one in _plan_feedback(given, number)]
    n_pairs = len(_pair_plans(given)) + len(brought.pairs)
    stages = (
        _plan_prompts(given),
        _plan_revise(given),
        _plan_sft(given),
        *feedback,
        _plan_evaluate(given, n_pairs, n_choices),
        StagePlan("report", 0),
    )
    return Plan(stages, tuple(dict.fromkeys(one.basis for one in rates.values())))


def _plan_feedback(given: Given, iteration: int) -> Iterator[StagePlan]:
    """Pairs, labels and the trainings on them; pairs that were given are the first iteration's."""
    if iteration > 1:
        given = replace(given, brought=replace(given.brought, pairs=()))
    made = _pair_plans(given, iteration)
    pairs: list[PairPlan | Pair] = [*made, *given.brought.pairs]
    trainings = (plan_preference_model(given, pairs), plan_dpo(given, pairs), plan_rl(given))
    for one in (_plan_pairs(given, made), plan_label(given, pairs), *itertools.chain(*trainings)):
        yield replace(one, stage=in_iteration(one.stage, iteration))


def _plan_prompts(given: Given) -> StagePlan:
    """Prompts that are there cost nothing; others are written by a model."""
    load = writing_load(given.brought.written, given.sizer)
    n_at_once = sum(one.n for one in given.brought.written)
    n_train = sum(map(len, given.train.values()))
    planned = given.stage("prompts", n_train, {"red_team": load} if load.calls else {}, at_once=n_at_once)
    return replace(planned, rows=planned.rows + sum(map(len, given.held_out.values())))


def _plan_revise(given: Given) -> StagePlan:
    """An initial response, then a critique, if any, and a revision a round, which the judge may be asked about."""
    settings, sampling = given.recipe.revise, Sampling()
    layout = make_layout(
        settings.layout,
        given.constitution,
        few_shots=settings.few_shots,
        n_few_shots=settings.n_few_shots,
        critiques=settings.critique,
    )
    principles = given.constitution.used_for("revise")
    drawn = [
        (prompt, principles[number % len(principles)]) for number, prompt in enumerate(given.to_revise[:MAX_RENDERED])
    ]
    size = given.sizer.mean_request
    answering = make_layout(settings.initial_layout or settings.layout, given.constitution)
    first = size(answering.initial(prompt, sampling) for prompt, _ in drawn)
    revised = size(layout.revision(prompt, "", principle, "", sampling) for prompt, principle in drawn)
    response = answer_tokens(settings.max_tokens)
    critique = answer_tokens(settings.max_critique_tokens) if settings.critique else 0.0
    policy, critic, reviser = Load(), Load(), Load()
    n_rounds = given.n_traces * settings.rounds
    policy.add(given.n_traces, first.own, response)
    if settings.critique:
        asked = size(layout.critique(prompt, "", principle, sampling) for prompt, principle in drawn)
        critic.add(n_rounds, asked.own + response, critique, shared=asked.shared)
    reviser.add(n_rounds, revised.own + response + critique, response, shared=revised.shared)
    loads = {"policy": policy, **({"critic": critic} if settings.critique else {}), "reviser": reviser}
    if settings.check:
        loads["judge"] = checking_load(given, n_rounds, response)
    planned = given.stage("revise", given.n_traces + len(given.brought.traces), loads)
    starting = given.rates["policy"].start if given.n_traces else 0.0  # the first stage that needs a model
    return replace(planned, seconds=planned.seconds + starting)


def _plan_sft(given: Given) -> StagePlan:
    """The base's answers to helpful prompts and twins, then the training on those and on the revisions (CAI §3.2)."""
    settings = given.recipe.sft
    n_given = sum(len(trace.rounds) if settings.revisions == "all" else 1 for trace in given.brought.traces)
    n_revisions = n_given + given.n_traces * (given.recipe.revise.rounds if settings.revisions == "all" else 1)
    rows = n_revisions
    revision = opening(answer_tokens(given.recipe.revise.max_tokens), settings)
    scored = n_revisions * revision
    tokens = n_revisions * given.plain(given.train["red_team"])
    load, response = Load(), answer_tokens(settings.max_tokens)
    ratios: dict[PromptKind, float] = {"helpful": settings.helpful_ratio, "benign_twin": settings.twin_ratio}
    for kind, ratio in ratios.items():
        wanted, prompts = round(ratio * n_revisions), given.train[kind]
        asked, n_samples = to_sample(prompts, wanted)
        n_sampled = len(asked) * n_samples
        load.add(n_sampled, given.plain(asked), response)
        n_mixed = min(wanted, n_sampled + sum(bool(prompt.reference) for prompt in prompts))
        rows += n_mixed
        scored += n_mixed * opening(response, settings)
        tokens += n_mixed * given.plain(prompts)
    training = given.training(rows, tokens + scored, scored, settings)
    return given.stage("sft", rows, {"policy": load}, training=training, n_loads=1 if rows else 0)


def _pair_plans(given: Given, iteration: int = 1) -> list[PairPlan]:
    """Which pairs an iteration would make, by the stage's own rule; traces are stood in for by empty ones."""
    settings = given.recipe.pairs
    traces = [*given.brought.traces] + [
        Trace(id=row_id("trace", prompt.id, sample), prompt=prompt, sample=sample, initial="", rounds=())
        for prompt in given.to_revise
        for sample in range(given.recipe.revise.n_samples)
    ]
    prompts = [prompt for kind in given.train.values() for prompt in kind]
    return plan_pairs(
        prompts,
        traces,
        n=settings.n,
        kinds=settings.kinds,
        sources=settings.sources,
        seed=given.recipe.seed,
        iteration=iteration,
    )


def _plan_pairs(given: Given, pairs: Sequence[PairPlan]) -> StagePlan:
    """Two answers a pair; a revision and what it revises are there already, and a contrast may take every try."""
    response = answer_tokens(given.recipe.pairs.max_tokens)
    n_answers: dict[PairSource, int] = _N_PLAIN | {"contrast": given.recipe.pairs.n_tries}
    load = Load()
    for kind, prompts in given.train.items():
        n_plain = sum(n_answers[pair.source] for pair in pairs if pair.prompt.kind == kind)
        load.add(n_plain, given.plain(prompts), response)
    guided = [pair.prompt for pair in pairs if pair.source == "guided_vs_plain"]
    guidance = given.sizer.messages(guidance_messages(given.constitution, given.recipe.pairs.few_shots))
    load.add(len(guided), given.plain(guided), response, shared=guidance)
    return given.stage("pairs", len(pairs) + len(given.brought.pairs), {"policy": load})


def _plan_evaluate(given: Given, n_pairs: int, n_choices: int) -> StagePlan:
    """Every model's answers, losses, held-out preferences and questions; then whatever the judge is asked."""
    response = answer_tokens(given.recipe.evaluate.max_tokens)
    policy, judge = Load(), Load()
    for prompts in given.held_out.values():
        policy.add(len(prompts) * given.n_models, given.plain(prompts), response)
        referenced = [prompt for prompt in prompts if prompt.reference]
        references = [given.sizer.count(prompt.reference or "") for prompt in referenced]
        policy.add(len(referenced) * given.n_models, given.plain(referenced) + mean(references))
    helpful = given.held_out["helpful"]
    policy.add(len(helpful) * given.n_models, given.plain(helpful) + response)  # the base's own answers: drift
    n_preferences = round(given.recipe.label.held_out * n_pairs * given.scale)
    pair_response = answer_tokens(given.recipe.pairs.max_tokens)
    policy.add(2 * n_preferences * given.n_models, given.plain(given.train["red_team"]) + pair_response)
    policy.add(n_choices * given.n_models, _QUESTION_TOKENS)
    _add_probes(given, policy, response)
    n_judged = add_judging(given, judge, response)
    rows, loads = round(policy.calls) + n_judged, {"policy": policy, "judge": judge}
    n_answered = sum(map(len, given.held_out.values()))  # of one model at a time; the judge comes after all of them
    n_loads = (given.n_models if judge.calls else given.n_models - 1) if policy.calls else 0
    if judge.calls and given.rates["judge"] is not given.rates["policy"]:
        n_loads -= 1
    return given.stage("evaluate", rows, loads, at_once=n_answered, n_loads=n_loads, is_scaled=False)


def _add_probes(given: Given, policy: Load, response: float) -> None:
    """Both answers of every probe scored by every model; and an answer to its prompt, where the judge reads those."""
    settings = given.recipe.evaluate
    n_models = given.n_models + len(settings.others)
    for probes in given.brought.probes:
        prompts = [pair.prompt for pair in probes.pairs]
        texts = [given.sizer.count(text) for pair in probes.pairs for text in (pair.a, pair.b)]
        policy.add(2 * len(prompts) * n_models, given.plain(prompts) + mean(texts))
        if settings.judge_adherence:
            policy.add(len(prompts) * n_models, given.plain(prompts), response)
