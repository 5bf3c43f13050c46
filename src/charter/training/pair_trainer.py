"""What the trainers of DPO and of preference models share: tokenised pairs, each with the probability of its label."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset

from charter.training.data import PreferenceExample
from charter.training.sharding import mean_of
from charter.training.trainer import Habits

LABEL = "p_chosen"
WEIGHT = "pair_weight"  # as ``relative_weights`` has it


class PairHabits(Habits):
    """Changes to a TRL trainer of pairs, beside those of every trainer. Mixed in before the TRL class."""

    # Of the trainer that this is mixed into.
    _metrics: Any
    _signature_columns: Any

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset  # tokenised already, and what does not fit is counted

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()  # type: ignore[misc]  # of the trainer that this is mixed into
        self._signature_columns += [name for name in (LABEL, WEIGHT) if name not in self._signature_columns]

    def note(self, inputs: Mapping[str, Any], **figures: torch.Tensor) -> None:
        """Add the rows' means of some figures to those of the step."""
        mode = "train" if self.model.training else "eval"
        for name, values in figures.items():
            self._metrics[mode][name].append(self.accelerator.gather(mean_of(values.detach(), inputs)).mean().item())


def right_side(margin: torch.Tensor) -> torch.Tensor:
    """Say of each pair whether the chosen side is preferred; a margin of exactly 0 is neither right nor wrong."""
    return (margin > 0).to(margin.dtype) + 0.5 * (margin == 0).to(margin.dtype)


def label_columns(examples: Sequence[dict[str, Any]], *names: str) -> dict[str, torch.Tensor]:
    """Collate the columns of numbers, as far as the rows have them, which TRL's collators leave out."""
    found = [name for name in (LABEL, WEIGHT, *names) if name in examples[0]]
    return {name: torch.tensor([example[name] for example in examples], dtype=torch.float64) for name in found}


def relative_weights(examples: Sequence[PreferenceExample]) -> list[float]:
    """Give each pair's weight as a multiple of the mean weight.

    The mean of so weighted losses over all pairs is then their weighted mean, however pairs are divided into batches
    and among processes, and the learning rate means what it means without weights.
    """
    mean = math.fsum(row.weight for row in examples) / len(examples)
    return [row.weight / mean for row in examples]


def pair_lengths(examples: Sequence[PreferenceExample]) -> list[int]:
    """Give the tokens of each pair's longer side, which the other is padded to."""
    return [len(row.prompt_ids) + max(len(row.chosen_ids), len(row.rejected_ids)) for row in examples]
