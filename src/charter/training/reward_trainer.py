"""TRL's trainer of reward models with a probability per pair (CAI §4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from trl import RewardConfig, RewardTrainer

from charter.training.adapters import Trainee, base_of
from charter.training.builder import build_trainer
from charter.training.data import PreferenceExample
from charter.training.losses import soft_dpo_loss
from charter.training.pace import Pace
from charter.training.pair_batches import LABEL, PAIR_WEIGHT, PairCollator, last_tokens
from charter.training.pair_trainer import PairHabits, pair_columns, right_side
from charter.training.passes import mean_of
from charter.training.reward_head import HEAD


class SoftRewardTrainer(PairHabits, RewardTrainer):  # type: ignore[misc]  # TRL is untyped
    """TRL's trainer with soft labels: the cross-entropy of each label and the Bradley-Terry probability of its pair."""

    def pair_rewards(self, model: Any, inputs: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the rewards of the chosen and of the rejected responses, in float32 at least; each (n_rows,)."""
        if "parts" in inputs:
            rewards = self._rewards_everywhere(model, inputs)[last_tokens(inputs, self.processing_class.pad_token_id)]
        else:
            rewards = model(**self.model_inputs(inputs), use_cache=False).logits.squeeze(-1)
        chosen, rejected = rewards.chunk(2)
        return chosen, rejected

    def _rewards_everywhere(self, model: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
        """Catch what the head makes of every token, of which the model itself gives the row's last alone."""
        caught: list[torch.Tensor] = []
        head = getattr(base_of(self.model), HEAD)
        handle = head.register_forward_hook(lambda _head, _hidden, rewards: caught.append(rewards.squeeze(-1)))
        try:
            model(**self.model_inputs(inputs), use_cache=False)
        finally:
            handle.remove()
        return caught[0]

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,  # noqa: ARG002 - the mean is over pairs
    ) -> Any:
        """Compute -p·log sigmoid(r_c - r_r) - (1-p)·log sigmoid(r_r - r_c), the mean over the pass's pairs."""
        chosen, rejected = self.pair_rewards(model, inputs)
        margin = chosen - rejected
        p_chosen, weight = (inputs[name].to(margin.dtype) for name in (LABEL, PAIR_WEIGHT))
        loss = mean_of(weight * soft_dpo_loss(margin, p_chosen, beta=1.0), inputs)
        figures = {"margin": margin, "accuracy": right_side(margin)}
        self.note(inputs, **figures, reward_chosen=chosen, reward_rejected=rejected)
        return (loss, None) if return_outputs else loss


def reward_trainer(
    examples: Sequence[PreferenceExample], trainee: Trainee, folder: Path, *, seed: int, pace: Pace
) -> SoftRewardTrainer:
    """Build the trainer; ``folder`` receives its checkpoints."""
    trainer = build_trainer(
        (SoftRewardTrainer, RewardConfig),
        {"max_length": None, "disable_dropout": False},  # an adapter's dropout is what the recipe says
        pair_columns(examples),
        trainee,
        folder,
        pace=pace,
        seed=seed,
        lengths=[one.n_tokens for one in examples],
        data_collator=PairCollator(trainee.tokenizer.pad_token_id),
    )
    trainer.settle_pairs(examples, pace, seed)
    return trainer
