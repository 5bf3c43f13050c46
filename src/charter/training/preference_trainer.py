"""TRL's DPO trainer with a probability per pair, and its reference computed once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import DPOConfig, DPOTrainer

from charter.errors import Interrupted
from charter.training import ranks
from charter.training.adapters import Trainee
from charter.training.builder import build_trainer
from charter.training.data import PreferenceExample
from charter.training.logprobs import sum_by_answer
from charter.training.losses import PREFERENCE_LOSSES, LossName, preference_margin
from charter.training.pace import Pace, Watch
from charter.training.pair_batches import LABEL, PAIR_WEIGHT, REFERENCE, PairCollator, answers_of
from charter.training.pair_trainer import PairHabits, pair_columns, right_side
from charter.training.passes import Share, mean_of
from charter.training.reference import KeptReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What is minimised: ``loss`` (see ``losses``) plus ``nll_weight`` times the chosen response's NLL per token.

    With ``length_normalised`` the margin is of log-ratios per token.
    """

    loss: LossName = "sigmoid"
    beta: float = 0.1
    nll_weight: float = 0.0
    length_normalised: bool = False


class AtStart(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Does something once the weights are where they are trained, before the first step."""

    def __init__(self, do: Callable[[], None]) -> None:
        self._do = do

    def on_train_begin(self, *_args: Any, **_: Any) -> None:
        """Do it."""
        self._do()


class SoftDpoTrainer(PairHabits, DPOTrainer):  # type: ignore[misc]  # TRL is untyped
    """TRL's trainer with soft labels, and the reference computed once.

    The reference is the model as it is before the first step. TRL keeps a copy of the adapter for it; here its
    log-probabilities are computed beforehand, so that the copy is dropped and every step is one forward pass less.
    """

    def __init__(self, objective: Objective, **arguments: Any) -> None:
        self.objective = objective
        super().__init__(**arguments)
        if "ref" in getattr(self.model, "peft_config", ()):
            self.model.delete_adapter("ref")

    def _precompute_ref_logps(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset  # computed by ``reference_logprobs``

    def response_logprobs(self, model: Any, inputs: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
        """Sum the log-probabilities of the responses.

        Returns:
            Of the chosen and of the rejected ones, in nats, and both their numbers of tokens; each (n_rows,).
        """
        asked, n_tokens = answers_of(inputs)
        logprobs = self.answer_logprobs(model, self.model_inputs(inputs), asked)
        chosen, rejected = sum_by_answer(logprobs, n_tokens).chunk(2)
        return chosen, rejected, *n_tokens.chunk(2)

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any], return_outputs: bool) -> Any:
        chosen, rejected, *n_tokens = self.response_logprobs(model, inputs)
        given = [inputs[name].to(chosen.dtype) for name in (*REFERENCE, LABEL, PAIR_WEIGHT)]
        lengths = (n_tokens[0], n_tokens[1]) if self.objective.length_normalised else None
        margin = preference_margin(chosen, rejected, given[0], given[1], lengths)
        losses = PREFERENCE_LOSSES[self.objective.loss](margin, given[2], self.objective.beta)
        nll = -chosen / n_tokens[0]
        if self.objective.nll_weight:
            losses = losses + self.objective.nll_weight * nll
        loss = mean_of(given[3] * losses, inputs)
        figures = {"margin": self.objective.beta * margin, "nll": nll, "accuracy": right_side(margin)}
        self.note(inputs, **figures, logprob_chosen=chosen, logprob_rejected=rejected)
        return (loss, None) if return_outputs else loss

    def reference_logprobs(self, watch: Watch, n_after: int, kept: KeptReference | None = None) -> list[list[float]]:
        """Compute the log-probabilities of chosen and rejected under the model as it is now, in the rows' order.

        The batches are those of the first epoch: rounding errors that depend on a batch's shape are then the same for
        policy and reference, and the margin before the first step is exactly 0.

        Args:
            watch: told of each step's rows as of a step.
            n_after: how many steps will follow.
            kept: what is known already, which is not computed again; it takes what comes, step by step.

        Raises:
            Interrupted: if ``watch`` said so.
        """
        kept = kept or KeptReference()
        passes, rows, n_steps = self._first_passes(), self._first_rows(), self.n_reference_steps()
        n_passes, n_rows = self.division.passes, self.division.batch_size * self.division.accumulation
        self.model.eval()
        for step in range(n_steps):
            if kept.knows(rows[step * n_rows : (step + 1) * n_rows]):
                continue
            found: dict[int, list[float]] = {}
            of_step = passes[step * n_passes : (step + 1) * n_passes]
            for number, shares in enumerate(of_step, 1):
                found |= self._reference_of(shares)
                if number == len(of_step):
                    kept.add({row: both for part in ranks.gathered(found) for row, both in part.items()})
                    if ranks.is_first():
                        watch.on_step(step + 1, n_steps + n_after, {})
                if ranks.any_of(watch.stop())[0]:
                    raise Interrupted(f"stopped while the reference was computed, at step {step + 1} of {n_steps}")
        return [kept.logprobs[row] for row in range(len(rows))]

    def _reference_of(self, shares: Sequence[Share]) -> dict[int, list[float]]:
        inputs = self._prepare_inputs(self.data_collator([self.train_dataset[share.row] for share in shares]))
        with torch.no_grad(), self.accelerator.autocast():
            chosen, rejected, *_ = self.response_logprobs(self.model_wrapped, inputs)
        both = zip(shares, torch.stack((chosen, rejected), 1).tolist(), strict=True)
        return {share.row: logprobs for share, logprobs in both if share.weight}

    def n_reference_steps(self) -> int:
        """Count the steps in which the reference is computed: with the rows of one training step each."""
        return math.ceil(len(self._first_passes()) / self.division.passes)

    def _first_passes(self) -> list[list[Share]]:
        self.buckets.epoch = 0
        return list(self.own_passes())

    def _first_rows(self) -> list[int]:
        self.buckets.epoch = 0
        return list(self.buckets)

    def take_reference(self, logprobs: Sequence[Sequence[float]]) -> None:
        """Train against these log-probabilities of (chosen, rejected), in the rows' order."""
        columns = self.train_dataset.to_dict()
        for column, values in zip(REFERENCE, zip(*logprobs, strict=True), strict=True):
            columns[column] = list(values)
        self.train_dataset = Dataset.from_dict(columns)


def dpo_trainer(
    examples: Sequence[PreferenceExample],
    trainee: Trainee,
    folder: Path,
    *,
    seed: int,
    pace: Pace,
    objective: Objective,
) -> SoftDpoTrainer:
    """Build the trainer; ``folder`` receives its checkpoints."""
    arguments = {
        "beta": objective.beta,
        "max_length": None,
        # A whole model as its own reference: this keeps TRL from loading it a second time.
        "precompute_ref_log_probs": not trainee.base,
    }
    trainer = build_trainer(
        (partial(SoftDpoTrainer, objective), DPOConfig),
        arguments,
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
