"""Reinforcement learning from AI feedback: GRPO and RLOO against rewards (CAI §4.1), by TRL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from charter.errors import RecipeError
from charter.records import Prompt
from charter.seeds import digest
from charter.training.adapters import LoraSettings, Precision
from charter.training.answering import ends_of
from charter.training.data import Examples, PromptExample, prompt_examples
from charter.training.destinations import Logs
from charter.training.frame import Begun, Frame, Ready, do_training
from charter.training.guard import GuardWatch
from charter.training.oversight import Compares, Oversight, RlGuard
from charter.training.pace import OnStep, Pace, Stop
from charter.training.results import TrainingResult
from charter.training.rl_trainer import Rolling, rl_trainer
from charter.training.rollouts import Reward


def rl(
    prompts: Sequence[Prompt],
    model: str | Path,
    rewards: Sequence[Reward],
    *,
    out: Path,
    seed: int,
    rolling: Rolling = Rolling(),  # noqa: B008 - frozen
    pace: Pace = Pace(learning_rate=1e-5),  # noqa: B008 - frozen
    max_length: int = 1024,
    guard: RlGuard | None = RlGuard(),  # noqa: B008 - frozen
    held_out: Sequence[Prompt] = (),
    second_judge: Compares | None = None,
    lora: LoraSettings | None = LoraSettings(),  # noqa: B008 - frozen
    dtype: Precision = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
    resume: bool = True,
    logs: Logs | None = None,
    on_step: OnStep | None = None,
    stop: Stop | None = None,
) -> TrainingResult:
    """Train a model on its own answers to prompts, towards those that rewards prefer within each prompt's group.

    The model as it is given is the reference that KL is measured against. Given an SFT adapter's folder, that adapter
    is trained on, so that the result is one adapter that loads on the base alone.

    Args:
        prompts: what is answered.
        model: an adapter's or a model's folder, an embedded name, or a hub id.
        rewards: what is maximised, the weighted sum.
        out: the folder to write; it must not exist.
        seed: what a new adapter's first weights, the order of the prompts and the answers are drawn from.
        rolling: the method, and how answers are drawn.
        pace: epochs over the prompts, learning rate, and batches: of answers, so that ``batch_size`` times
            ``accumulation`` is a multiple of ``rolling.n_samples``. Checkpoints fall between draws of answers.
        max_length: the most tokens of a prompt with its answer; other prompts are rejected, and reported.
        guard: when answers are looked at, and what ends the training; None looks at nothing.
        held_out: prompts that are not trained on, of which the guard asks some; where they are too few it asks trained
            ones too.
        second_judge: who compares these answers with those before the first step, and is never trained against.
        lora: the adapter to put on a model that has none; None trains the whole model.
        dtype: the precision of the products (see ``load_trainee``).
        device: ``auto`` is a GPU where there is one; else a torch device such as ``cpu`` or ``cuda:1``.
        trust_remote_code: whether code that the model brings may be run.
        resume: whether to go on from the newest whole checkpoint of the same training, where there is one.
        logs: where the figures go as they come, beside the result (see ``logs.Logs``); None hands them to nobody.
        on_step: called after every step with its number, the number of steps, and its figures (``loss``, ``reward``,
            ``rewards/NAME/mean``, ``kl``, ``entropy``, ``completions/mean_length``).
        stop: asked between draws of answers; if it says True, a checkpoint is written and ``Interrupted`` raised.

    Returns:
        What was trained, with every step's figures and all rejected prompts.

    Raises:
        ModelError: if the model cannot be loaded or has no chat template, or the device is not there.
        RecipeError: if no prompt is left to train on, or the batches are no whole groups.
        RunError: if ``out`` exists.
        Interrupted: if ``stop`` said so.
        Collapsed: if the guard ended the training; its last good checkpoint is kept.
        TooManyFailures: if a reward said nothing of more than half of the answers of ten draws, or of all where those
            are fewer.
        CharterError: what a reward raises.
    """
    _require_groups(pace, rolling)

    def tokenise(tokenizer: Any) -> Examples[PromptExample]:
        return prompt_examples(prompts, tokenizer, max_length=max_length, max_tokens=rolling.max_tokens)

    def build(begun: Begun[PromptExample]) -> Ready:
        trainer = rl_trainer(
            begun.examples.kept,
            begun.trainee,
            begun.folder,
            seed=begun.seed,
            pace=pace,
            rolling=rolling,
            rewards=rewards,
            trust_remote_code=trust_remote_code,
        )
        if guard is None:
            return Ready(trainer)
        oversight = Oversight(rewards, second_judge, guard, measures_kl=rolling.beta > 0.0)
        asked = prompt_examples(held_out, begun.trainee.tokenizer, max_length=max_length, max_tokens=guard.max_tokens)
        return Ready(trainer, _watch(begun, asked, guard, oversight))

    frame = Frame(
        stage="rl",
        model=model,
        out=out,
        seed=seed,
        pace=pace,
        max_length=max_length,
        lora=lora,
        dtype=dtype,
        device=device,
        trust_remote_code=trust_remote_code,
        resume=resume,
        logs=logs,
        on_step=on_step,
        stop=stop,
    )
    return do_training(
        frame,
        digest([[one.id, [turn.model_dump() for turn in one.turns]] for one in prompts]),
        tokenise,
        build,
        rolling=asdict(rolling),
        rewards=[[reward.name, reward.weight, dict(reward.identity)] for reward in rewards],
    )


def _watch(
    begun: Begun[PromptExample], asked: Examples[PromptExample], guard: RlGuard, oversight: Oversight
) -> GuardWatch:
    """Set a guard over the training that asks prompts held out, as far as there are any."""
    tokenizer = begun.trainee.tokenizer
    return GuardWatch(
        guard,
        [one.prompt for one in asked.kept],
        tokenizer,
        seed=begun.seed,
        ends=ends_of(begun.trainee.model, tokenizer),
        spare=[one.prompt for one in begun.examples.kept],
        oversight=oversight,
    )


def _require_groups(pace: Pace, rolling: Rolling) -> None:
    n_answers = pace.batch_size * pace.accumulation
    if rolling.n_samples < 2 or n_answers % rolling.n_samples:
        raise RecipeError(
            f"a step has {n_answers} answers (batch_size {pace.batch_size} x accumulation {pace.accumulation}), which "
            f"are no whole groups of {rolling.n_samples}; take n_samples of 2 or more that divides them"
        )
