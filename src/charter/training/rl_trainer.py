"""TRL's trainers of reinforcement learning, with prompts as the engine reads them and rollouts that a seed makes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import torch
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from charter.seeds import derive_seed
from charter.training import ranks
from charter.training.adapters import Trainee
from charter.training.answering import ends_of
from charter.training.builder import build_trainer
from charter.training.data import PromptExample
from charter.training.pace import Pace
from charter.training.rollouts import Reward, Rollout, RolloutOrder
from charter.training.trainer import Habits
from charter.training.unscored import filled, is_said, require_scores, said, unscored_figure

Method = Literal["grpo", "rloo"]
_CLIPPED_AT = 0.2  # how far the probability of an answer may move from the policy that drew it


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """How answers are drawn and what is maximised.

    Attributes:
        method: ``grpo`` (advantages of arXiv 2402.03300, KL in the loss; that is the mean over all tokens of a draw as
            in arXiv 2503.14476, so that answers count by their length) or ``rloo`` (arXiv 2402.14740; KL in the
            reward).
        n_samples: answers to each prompt, which are compared with each other.
        beta: the weight of KL(policy || reference), per token in GRPO, per answer in RLOO; 0 lets the policy go where
            it will.
        temperature: of the draws.
        max_tokens: of an answer.
        n_updates: optimiser steps on the same answers, which are clipped at 20 % from the policy that drew them.
        learn_from_cut: whether answers that came to ``max_tokens`` before their end are learnt from.
    """

    method: Method = "grpo"
    n_samples: int = 4
    beta: float = 0.05
    temperature: float = 1.0
    max_tokens: int = 128
    n_updates: int = 1
    learn_from_cut: bool = True


class _Scored:
    """A reward as TRL calls it: with the prompts' numbers, the texts and their tokens; nothing it gives is missing.

    Args:
        reward: that is asked.
        examples: the prompts, by their numbers.
        n_samples: answers to each, which stand side by side.
        ends: tokens that end an answer.
    """

    def __init__(self, reward: Reward, examples: Sequence[PromptExample], n_samples: int, ends: frozenset[int]) -> None:
        self.reward = reward
        self.__name__ = reward.name  # by which TRL calls its figures
        self._examples, self._n_samples, self._ends = examples, n_samples, ends
        self._scores: list[float | None] = []

    def __call__(
        self, prompts: list[str], completions: list[str], completion_ids: list[list[int]], **_: Any
    ) -> list[float]:
        """Score rollouts; what is said of none of them has the middle of its group (see ``unscored``)."""
        rows = zip(prompts, completions, completion_ids, strict=True)
        rollouts = [self._rollout(int(number), text, ids) for number, text, ids in rows]
        scores = list(self.reward.score(rollouts))
        self._scores += scores
        return filled(scores, self._n_samples)

    def take(self) -> list[float | None]:
        """Hand over what the reward said since it was last asked."""
        scores, self._scores = self._scores, []
        return scores

    def _rollout(self, number: int, text: str, ids: list[int]) -> Rollout:
        return Rollout(self._examples[number].prompt, text, len(ids), is_cut=ids[-1] not in self._ends)


class _Rolls(Habits):
    """What the trainers of both methods share. Mixed in before TRL's class."""

    examples: Sequence[PromptExample]
    own_seed: int
    scored: Sequence[_Scored] = ()
    _metrics: Any  # of the trainer that this is mixed into

    def get_train_dataloader(self) -> Any:
        """Load prompts in TRL's own way, which knows of groups."""
        return super(Habits, self).get_train_dataloader()  # type: ignore[misc]  # of the trainer that this is mixed into

    def _get_train_sampler(self, _train_dataset: Any = None) -> Any:
        return self.buckets

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """Give the tokens that the engine would read: text is data, and no prompt can end its own turn."""
        return [list(self.examples[int(number)].prompt_ids) for number in prompts], None, {}

    def _generate_single_turn(self, prompt_ids: list[list[int]], *more: Any) -> Any:
        """Draw answers from a seed of this step alone, so that a training that goes on draws what it would have."""
        torch.manual_seed(derive_seed(self.own_seed, str(self.state.global_step), f"rollouts {ranks.rank()}"))
        with self.accelerator.autocast():
            return super()._generate_single_turn(prompt_ids, *more)  # type: ignore[misc]  # as above

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Tell the means of what rewards said alone, without what stood in for what they did not, and how much did.

        Raises:
            TooManyFailures: where a reward said nothing of most answers lately.
        """
        metrics, means = self._metrics["train"], list[float]()
        taken = [(one.reward, one.take()) for one in self.scored]
        for reward, scores in taken:
            told = said(scores)
            if scores:
                metrics[unscored_figure(reward.name)] = [float(len(scores) - len(told))]
            if len(told) < len(scores):
                metrics[f"rewards/{reward.name}/mean"] = [fmean(told) if told else math.nan]
            means += [reward.weight * fmean(told)] if told else []
        if any(not is_said(score) for _, scores in taken for score in scores):
            metrics["reward"] = [sum(means) if means else math.nan]
        super().log(logs, start_time)
        is_last = self.state.global_step >= self.state.max_steps
        for one in self.scored:
            require_scores(self.state.log_history, one.reward, self.args.generation_batch_size, is_last=is_last)

    def count_tokens(self, _examples: Sequence[Any]) -> tuple[int, int]:
        """Count what was read and drawn, and of that what was drawn, in all sittings."""
        rows = self.args.generation_batch_size * ranks.n_ranks()
        means = [
            step["completions/mean_length"] for step in self.state.log_history if "completions/mean_length" in step
        ]
        return round(self.state.num_input_tokens_seen), round(sum(mean * rows for mean in means))


class GrpoTrainer(_Rolls, GRPOTrainer):  # type: ignore[misc]  # TRL is untyped
    """TRL's GRPO."""


class RlooTrainer(_Rolls, RLOOTrainer):  # type: ignore[misc]  # TRL is untyped
    """TRL's RLOO."""


_TRAINERS: Mapping[Method, tuple[type[_Rolls], type[Any]]] = {
    "grpo": (GrpoTrainer, GRPOConfig),
    "rloo": (RlooTrainer, RLOOConfig),
}


def rl_trainer(
    examples: Sequence[PromptExample],
    trainee: Trainee,
    folder: Path,
    *,
    seed: int,
    pace: Pace,
    rolling: Rolling,
    rewards: Sequence[Reward],
    trust_remote_code: bool = False,
) -> Any:
    """Build the trainer; ``folder`` receives its checkpoints."""
    ends = ends_of(trainee.model, trainee.tokenizer)
    trainee.model.generation_config.eos_token_id = sorted(ends)  # where TRL looks for what ends an answer
    scored = [_Scored(reward, examples, rolling.n_samples, ends) for reward in rewards]
    # Of a whole model TRL loads its reference anew, by itself; of an adapter it keeps a copy.
    loading = {"use_safetensors": True, "trust_remote_code": trust_remote_code, "device_map": None}
    arguments = {
        "num_generations": rolling.n_samples,
        "num_iterations": rolling.n_updates,
        "epsilon": _CLIPPED_AT,
        "beta": rolling.beta,
        "temperature": rolling.temperature,
        "max_completion_length": rolling.max_tokens,
        "mask_truncated_completions": not rolling.learn_from_cut,
        "reward_weights": [reward.weight for reward in rewards],
        "disable_dropout": True,  # else answers are drawn and read by other models than the one that is kept
        "model_init_kwargs": None if trainee.base else loading,
    }
    columns = {"prompt": [str(number) for number in range(len(examples))]}
    lengths = [len(one.prompt_ids) + rolling.max_tokens for one in examples]
    trainer: Any = build_trainer(
        _TRAINERS[rolling.method],
        arguments,
        columns,
        trainee,
        folder,
        pace=pace,
        seed=seed,
        lengths=lengths,
        even=True,
        reward_funcs=scored,
    )
    trainer.examples, trainer.own_seed, trainer.scored = examples, seed, scored
    trainer.steps_between_checkpoints = rolling.n_updates
    trainer.settle([max(lengths)], pace, seed)
    n_at_once = pace.batch_size * pace.accumulation // rolling.n_samples
    n_passes = trainer.args.gradient_accumulation_steps * rolling.n_updates
    trainer.buckets = RolloutOrder(len(examples), n_at_once, rolling.n_samples, n_passes, seed)
    return trainer
