"""What the trainers of DPO and of preference models share: tokenised pairs, each with the probability of its label."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset

from charter.engines.quiet import quiet_libraries
from charter.training import ranks
from charter.training.adapters import base_of
from charter.training.data import PreferenceExample
from charter.training.pace import Pace
from charter.training.pair_batches import LABEL, PAIR_WEIGHT, PairCollator, model_inputs
from charter.training.pair_lengths import side_length, worth_sharing
from charter.training.passes import mean_of
from charter.training.shared_prompts import mask_dtype, why_apart
from charter.training.trainer import Habits

_DIVIDED = "processes share the weights, and the model could not be tried before they are trained"


class PairHabits(Habits):
    """Changes to a TRL trainer of pairs, beside those of every trainer. Mixed in before the TRL class."""

    # Of the trainer that this is mixed into.
    accelerator: Any
    data_collator: PairCollator
    _metrics: Any
    _signature_columns: Any

    @quiet_libraries()
    def settle_pairs(self, examples: Sequence[PreferenceExample], pace: Pace, seed: int) -> None:
        """Settle (see ``Habits``), and find out whether the two sides of a pair may share its prompt.

        The order of the pairs is the same either way. Where processes share the weights, the sides stay apart.
        """
        lengths = [side_length(one) for one in examples]
        may = worth_sharing(examples) and self._may_share(examples)
        shares = not ranks.any_of(not may)[0]  # all processes alike
        self.data_collator.shares = shares
        self.settle(lengths, pace, seed, max(one.n_tokens for one in examples) if shares else max(lengths))

    def _may_share(self, examples: Sequence[PreferenceExample]) -> bool:
        """Tell whether pairs may share their prompts; where they may not, the result says why."""
        with self.accelerator.autocast():  # as in training: an adapter's weights have another precision than the others
            why = _DIVIDED if ranks.shards_weights() else why_apart(base_of(self.model), examples)
        if why is not None:
            self.notes = (f"the sides of each pair were read apart, each behind the prompt: {why}",)
        return why is None

    def model_inputs(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Give what the model reads of a batch."""
        return model_inputs(batch, mask_dtype(self.model))

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset  # tokenised already, and what does not fit is counted

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()  # type: ignore[misc]  # of the trainer that this is mixed into
        needed = ("prompt_ids", LABEL, PAIR_WEIGHT)
        self._signature_columns += [name for name in needed if name not in self._signature_columns]

    def note(self, inputs: Mapping[str, Any], **figures: torch.Tensor) -> None:
        """Add the rows' means of some figures to those of the step."""
        mode = "train" if self.model.training else "eval"
        for name, values in figures.items():
            self._metrics[mode][name].append(self.accelerator.gather(mean_of(values.detach(), inputs)).mean().item())


def right_side(margin: torch.Tensor) -> torch.Tensor:
    """Say of each pair whether the chosen side is preferred; a margin of exactly 0 is neither right nor wrong."""
    return (margin > 0).to(margin.dtype) + 0.5 * (margin == 0).to(margin.dtype)


def relative_weights(examples: Sequence[PreferenceExample]) -> list[float]:
    """Give each pair's weight as a multiple of the mean weight.

    The mean of so weighted losses over all pairs is then their weighted mean, however pairs are divided into batches
    and among processes, and the learning rate means what it means without weights.
    """
    mean = math.fsum(row.weight for row in examples) / len(examples)
    return [row.weight / mean for row in examples]


def pair_columns(examples: Sequence[PreferenceExample]) -> dict[str, list[Any]]:
    """Write pairs as the columns that ``PairCollator`` reads."""
    return {
        "prompt_ids": [list(row.prompt_ids) for row in examples],
        "chosen_ids": [list(row.chosen_ids) for row in examples],
        "rejected_ids": [list(row.rejected_ids) for row in examples],
        LABEL: [row.p_chosen for row in examples],
        PAIR_WEIGHT: relative_weights(examples),
    }
