"""Stage ``rl``: reinforcement learning against the preference model, the judge and rules (CAI §4.1)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from charter.engines.base import Engine
from charter.errors import RunError
from charter.feedback.judge import Judging, make_judge
from charter.feedback.labels import standards
from charter.recipe.settings import RlSettings
from charter.recipe.stages import settings_of
from charter.records import Prompt
from charter.runs.folder import Run
from charter.seeds import derive_seed
from charter.stages.label import judging_of
from charter.stages.prompts import held_out_prompts, read_prompts
from charter.stages.summary import Summary, summarise, tally
from charter.stages.trained import SKIPPED, training_arguments, untrained
from charter.statistics.scaling import AS_READ

if TYPE_CHECKING:
    from charter.training.oversight import RlGuard
    from charter.training.reward_judge import JudgeComparison
    from charter.training.rl_trainer import Rolling
    from charter.training.rollouts import Reward


def do_rl(run: Run) -> Summary:
    """Write ``models/rl``."""
    settings = settings_of(run.recipe.rl, "rl")
    train, held_out, left_out = _prompts(run, settings)
    n_in = len(train) + sum(left_out.values())
    if run.recipe.models.policy.engine == "scripted":
        return _summary(n_in, train, left_out) | {"training": SKIPPED}
    if not train:
        raise RunError(
            f"{run.data('prompts')}: holds no prompt to train on; stages/prompts.json says why. Raise prompts.n_train, "
            f"or give rl.kinds other kinds than {', '.join(settings.kinds)}, in a new folder (--out)"
        )
    from charter.training.rl import rl
    from charter.training.unscored import count_unscored

    run.pool.close()
    with contextlib.ExitStack() as models:
        rewards, second_judge = _rewards(run, settings, models), _second_judge(run, settings, models)
        result = rl(
            train,
            str(run.model("dpo") if settings.start == "dpo" else run.policy_before),
            rewards,
            out=run.model("rl"),
            seed=run.seed,
            rolling=_rolling(settings),
            held_out=held_out,
            second_judge=second_judge,
            guard=_guard(settings),
            **training_arguments(run, "rl", settings),
        )
    left_out |= untrained(result)
    rejected = {row.id for row in result.rejected}
    trained = [one for one in train if one.id not in rejected]
    told: dict[str, dict[str, Any]] = {
        "unscored": count_unscored(result.steps),
        "failed comparisons": _failures(rewards, second_judge),
    }
    return _summary(n_in, trained, left_out, told) | {"training": result.to_json()}


def _prompts(run: Run, settings: RlSettings) -> tuple[list[Prompt], list[Prompt], dict[str, int]]:
    """Give the prompts to train on and those that a guard may ask, held out by whole groups, and count the others."""
    prompts = read_prompts(run, "train")
    is_held_out = held_out_prompts(run)
    asked = [one for one in prompts if one.kind in settings.kinds]
    held_out = [one for one in asked if is_held_out[one.id]]
    aside = {one.id for one in held_out}
    train = [one for one in asked if one.id not in aside]
    drawn = sorted(train, key=lambda one: (derive_seed(run.seed, one.id, "rl prompts"), one.id))[: settings.n]
    left_out = {
        "of a kind that rl.kinds leaves out": len(prompts) - len(asked),
        "held out": len(held_out),
        "over rl.n": len(train) - len(drawn),
    }
    return drawn, held_out, {reason: n for reason, n in left_out.items() if n}


def _rewards(run: Run, settings: RlSettings, models: contextlib.ExitStack) -> list[Reward]:
    """Make the parts of the reward that have a weight; models stay in memory as long as the stack is open."""
    from charter.training.reward_judge import JudgeReward
    from charter.training.reward_rules import boilerplate_reward, length_reward, repetition_reward
    from charter.training.rollouts import Reward

    asked = settings.rewards
    why: dict[str, Callable[[], str]] = {}
    scores: dict[str, tuple[Any, dict[str, object]]] = {
        "length": (partial(length_reward, most_tokens=asked.most_tokens), {"most_tokens": asked.most_tokens}),
        "repetition": (repetition_reward, {}),
        "boilerplate": (boilerplate_reward, {}),
    }
    if asked.preference_model:
        scores["preference_model"] = _preference_model(run)
    if asked.judge:
        engine = models.enter_context(run.pool.lend("judge"))
        about = {"engine": engine.identity, "n_meetings": settings.n_meetings, "k": settings.k_principles}
        judge = JudgeReward(_comparison(run, settings, engine, "judge", judging_of(run.recipe)), settings.n_meetings)
        scores["judge"], why["judge"] = (judge, about), judge.why
    weights = {name: getattr(asked, name) for name in ("preference_model", "judge", *scores)}
    return [
        Reward(name, scores[name][0], weight, scores[name][1], why.get(name))
        for name, weight in weights.items()
        if weight
    ]


def _preference_model(run: Run) -> tuple[Any, dict[str, object]]:
    from charter.engines.weights import model_fingerprint, resolve_model
    from charter.training.rewards import RewardModel, rollout_rewards

    policy, folder = run.recipe.models.policy, run.model("preference_model")
    model = RewardModel(folder, dtype=policy.dtype, device=policy.device, trust_remote_code=policy.trust_remote_code)
    resolved = resolve_model(str(folder), trust_remote_code=policy.trust_remote_code)
    return partial(rollout_rewards, model=model), {"model": model_fingerprint(resolved)}


def _second_judge(run: Run, settings: RlSettings, models: contextlib.ExitStack) -> JudgeComparison | None:
    """Give who compares answers and is not trained against; None where the recipe names nobody."""
    if run.recipe.models.second_judge is None or settings.guard is None:
        return None
    # The calibrator is the judge's own, and the clamp is for labels: held to it, no mean would fall below the limit.
    judging = replace(judging_of(run.recipe), scaling=AS_READ, clamp=(0.0, 1.0))
    return _comparison(run, settings, models.enter_context(run.pool.lend("second_judge")), "second_judge", judging)


def _failures(rewards: Sequence[Reward], second_judge: JudgeComparison | None) -> dict[str, dict[str, int]]:
    """Count by reason the comparisons in which those who were asked failed in this sitting."""
    from charter.training.reward_judge import JudgeReward

    judges = [one.score.comparison for one in rewards if isinstance(one.score, JudgeReward)]
    failures = [one.failures for one in (*judges, second_judge) if one is not None]
    return {one.role: dict(one.reasons) for one in failures if one.reasons}


def _comparison(run: Run, settings: RlSettings, engine: Engine, role: str, judging: Judging) -> JudgeComparison:
    """Have a model compare answers by the principles of their prompts' kinds, as the label stage asks its judge."""
    from charter.training.reward_judge import Failures, JudgeComparison

    by_kind = standards(run.constitution, run.helpful)
    return JudgeComparison(
        judges={kind: make_judge(engine, one, judging, seed=run.seed) for kind, one in by_kind.items()},
        principles={kind: one.used_for("judge") for kind, one in by_kind.items()},
        k_principles=settings.k_principles,
        seed=run.seed,
        failures=Failures(role),
    )


def _rolling(settings: RlSettings) -> Rolling:
    from charter.training.rl_trainer import Rolling

    return Rolling(**settings.model_dump(include={one.name for one in fields(Rolling)}))


def _guard(settings: RlSettings) -> RlGuard | None:
    from charter.training.oversight import RlGuard

    if settings.guard is None:
        return None
    told = settings.guard.model_dump()
    return RlGuard(**told | {"max_tokens": told["max_tokens"] or settings.max_tokens})


def _summary(
    n_in: int, trained: Sequence[Prompt], left_out: dict[str, int], told: Mapping[str, dict[str, Any]] | None = None
) -> Summary:
    counts: dict[str, Any] = {"trained on": tally(one.kind for one in trained), "held out": left_out.get("held out", 0)}
    counts |= {what: those for what, those in (told or {}).items() if those}
    return summarise(n_in, len(trained), filtered=left_out, counts=counts)
