"""TRL's trainer of reward models with a probability per pair (CAI §4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from trl import RewardConfig, RewardTrainer
from trl.trainer.reward_trainer import DataCollatorForPreference

from charter.training.adapters import Trainee
from charter.training.builder import build_trainer
from charter.training.data import PreferenceExample
from charter.training.losses import soft_dpo_loss
from charter.training.pace import Pace
from charter.training.pair_trainer import (
    LABEL,
    WEIGHT,
    PairHabits,
    label_columns,
    pair_lengths,
    relative_weights,
    right_side,
)
from charter.training.sharding import mean_of


@dataclass
class _SoftPairCollator(DataCollatorForPreference):  # type: ignore[misc]  # TRL is untyped
    """TRL's collator, which knows no probability per row."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        return {**batch, **label_columns(examples)}


class SoftRewardTrainer(PairHabits, RewardTrainer):  # type: ignore[misc]  # TRL is untyped
    """TRL's trainer with soft labels: the cross-entropy of each label and the Bradley-Terry probability of its pair."""

    def pair_rewards(self, model: Any, inputs: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the rewards of the chosen and of the rejected responses, in float32 at least; each (n_rows,)."""
        outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)
        chosen, rejected = outputs.logits.squeeze(-1).chunk(2)
        return chosen, rejected

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
        p_chosen, weight = (inputs[name].to(margin.dtype) for name in (LABEL, WEIGHT))
        loss = mean_of(weight * soft_dpo_loss(margin, p_chosen, beta=1.0), inputs)
        figures = {"margin": margin, "accuracy": right_side(margin)}
        self.note(inputs, **figures, reward_chosen=chosen, reward_rejected=rejected)
        return (loss, None) if return_outputs else loss


def reward_trainer(
    examples: Sequence[PreferenceExample], trainee: Trainee, folder: Path, *, seed: int, pace: Pace
) -> SoftRewardTrainer:
    """Build the trainer; ``folder`` receives its checkpoints."""
    columns = {
        "chosen_ids": [[*row.prompt_ids, *row.chosen_ids] for row in examples],
        "rejected_ids": [[*row.prompt_ids, *row.rejected_ids] for row in examples],
        LABEL: [row.p_chosen for row in examples],
        WEIGHT: relative_weights(examples),
    }
    trainer = build_trainer(
        (SoftRewardTrainer, RewardConfig),
        {"max_length": None, "disable_dropout": False},  # an adapter's dropout is what the recipe says
        columns,
        trainee,
        folder,
        pace=pace,
        seed=seed,
        data_collator=_SoftPairCollator(pad_token_id=trainee.tokenizer.pad_token_id),
    )
    trainer.settle(pair_lengths(examples), pace, seed)
    return trainer
