"""DPO with a probability per pair (CAI §4.1's soft labels; arXiv 2305.18290)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from charter.errors import Interrupted
from charter.records import Preference
from charter.seeds import derive_seed, digest
from charter.training.adapters import LoraSettings, Precision, Trainee, load_trainee
from charter.training.checkpoints import open_workplace, write_whole
from charter.training.data import PreferenceExample, preference_examples
from charter.training.logprobs import IGNORED, sum_by_row
from charter.training.losses import PREFERENCE_LOSSES, LossName, preference_margin
from charter.training.quiet import quiet_libraries
from charter.training.schedule import Schedule
from charter.training.trainer import (
    Habits,
    OnStep,
    Pace,
    Stop,
    TrainingResult,
    Watch,
    release_memory,
    require_examples,
    run_training,
    trainer_arguments,
    training_notes,
    use_one_device,
)

_REFERENCE = "reference.json"  # the reference's log-probabilities, in the order of the rows
_LABEL = "p_chosen"
_REFERENCE_COLUMNS = ("ref_chosen_logps", "ref_rejected_logps")  # TRL's names


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What is minimised: ``loss`` (see ``losses``) plus ``nll_weight`` times the chosen response's NLL per token."""

    loss: LossName = "sigmoid"
    beta: float = 0.1
    nll_weight: float = 0.0


@dataclass
class _SoftPreferenceCollator(DataCollatorForPreference):  # type: ignore[misc]  # TRL is untyped
    """TRL's collator, which knows no probability per row."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        for name in (_LABEL, *_REFERENCE_COLUMNS):
            if name in examples[0]:
                batch[name] = torch.tensor([example[name] for example in examples], dtype=torch.float64)
        return batch


class SoftDpoTrainer(Habits, DPOTrainer):  # type: ignore[misc]  # TRL is untyped
    """TRL's trainer with soft labels, and the reference computed once.

    The reference is the model as it is before the first step. TRL keeps a copy of the adapter for it; here its
    log-probabilities are computed beforehand, so that the copy is dropped and every step is one forward pass less.
    """

    def __init__(self, objective: Objective, **arguments: Any) -> None:
        self.objective = objective
        super().__init__(**arguments)
        if "ref" in getattr(self.model, "peft_config", ()):
            self.model.delete_adapter("ref")

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset  # tokenised already, and what does not fit is counted

    def _precompute_ref_logps(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset  # computed by ``reference_logprobs``

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if _LABEL not in self._signature_columns:
            self._signature_columns += [_LABEL]

    def response_logprobs(self, model: Any, inputs: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
        """Sum the log-probabilities of the responses.

        Returns:
            Of the chosen and of the rejected ones, in nats, and the chosen ones' numbers of tokens; each (n_rows,).
        """
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, IGNORED)
        chosen, rejected = sum_by_row(self.answer_logprobs(model, inputs, labels), labels).chunk(2)
        return chosen, rejected, (labels != IGNORED).sum(1).chunk(2)[0]

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any], return_outputs: bool) -> Any:
        chosen, rejected, n_tokens = self.response_logprobs(model, inputs)
        given = [inputs[name].to(chosen.dtype) for name in (*_REFERENCE_COLUMNS, _LABEL)]
        margin = preference_margin(chosen, rejected, given[0], given[1])
        loss = PREFERENCE_LOSSES[self.objective.loss](margin, given[2], self.objective.beta).mean()
        nll = (-chosen / n_tokens).mean()
        if self.objective.nll_weight:
            loss = loss + self.objective.nll_weight * nll
        self._note(margin=self.objective.beta * margin, nll=nll, logprob_chosen=chosen, logprob_rejected=rejected)
        # A margin of exactly 0, as before the first step, is neither right nor wrong.
        self._note(accuracy=(margin > 0).to(margin.dtype) + 0.5 * (margin == 0).to(margin.dtype))
        return (loss, None) if return_outputs else loss

    def _note(self, **figures: torch.Tensor) -> None:
        mode = "train" if self.model.training else "eval"
        for name, values in figures.items():
            self._metrics[mode][name].append(self.accelerator.gather(values.detach().mean()).mean().item())

    def reference_logprobs(self, watch: Watch, n_after: int) -> list[list[float]]:
        """Compute the log-probabilities of chosen and rejected under the model as it is now, in the rows' order.

        The batches are those of the first epoch: rounding errors that depend on a batch's shape are then the same for
        policy and reference, and the margin before the first step is exactly 0.

        Args:
            watch: told of each batch as of a step.
            n_after: how many steps will follow.

        Raises:
            Interrupted: if ``watch`` said so.
        """
        batches = self._first_batches()
        found: dict[int, list[float]] = {}
        self.model.eval()
        for number, rows in enumerate(batches, 1):
            inputs = self._prepare_inputs(self.data_collator([self.train_dataset[row] for row in rows]))
            with torch.no_grad(), self.accelerator.autocast():
                chosen, rejected, _ = self.response_logprobs(self.model, inputs)
            found |= dict(zip(rows, torch.stack((chosen, rejected), 1).tolist(), strict=True))
            watch.on_step(number, len(batches) + n_after, {})
            if watch.stop():
                raise Interrupted(f"stopped while the reference was computed, at batch {number} of {len(batches)}")
        return [found[row] for row in range(len(found))]

    def _first_batches(self) -> list[list[int]]:
        self.buckets.epoch = 0
        order, size = list(self.buckets), self.buckets.batch_size
        return [order[start : start + size] for start in range(0, len(order), size)]

    def take_reference(self, logprobs: Sequence[Sequence[float]]) -> None:
        """Train against these log-probabilities of (chosen, rejected), in the rows' order."""
        columns = self.train_dataset.to_dict()
        for column, values in zip(_REFERENCE_COLUMNS, zip(*logprobs, strict=True), strict=True):
            columns[column] = list(values)
        self.train_dataset = Dataset.from_dict(columns)


def dpo(
    preferences: Sequence[Preference],
    model: str | Path,
    *,
    out: Path,
    seed: int,
    loss: LossName = "sigmoid",
    beta: float = 0.1,
    nll_weight: float = 0.0,
    epochs: float = 1.0,
    learning_rate: float = 5e-5,
    batch_size: int = 8,
    accumulation: int = 1,
    max_length: int = 1024,
    warmup: float = 0.03,
    schedule: Schedule = "cosine",
    max_grad_norm: float = 1.0,
    gradient_checkpointing: bool = False,
    lora: LoraSettings | None = LoraSettings(),  # noqa: B008 - frozen
    dtype: Precision = "auto",
    trust_remote_code: bool = False,
    resume: bool = True,
    save_seconds: float = 600.0,
    save_steps: int | None = None,
    on_step: OnStep | None = None,
    stop: Stop | None = None,
) -> TrainingResult:
    """Train a model on judged pairs; the model as it is given is the reference.

    Given an SFT adapter's folder, that adapter is trained on, so that the result is one adapter that loads on the base
    alone.

    Args:
        preferences: what to train on.
        model: an adapter's or a model's folder, an embedded name, or a hub id.
        out: the folder to write; it must not exist.
        seed: what a new adapter's first weights, the order of the rows and dropout are drawn from.
        loss: which preference loss (see ``losses``).
        beta: how strongly the policy is held to the reference.
        nll_weight: the weight of the chosen response's negative log-likelihood per token, added to the loss.
        epochs: passes over the rows; 0.5 is half of one.
        learning_rate: its peak.
        batch_size: pairs per forward pass.
        accumulation: forward passes per optimiser step.
        max_length: the most tokens of a prompt with either response; other rows are rejected, and reported.
        warmup: the share of the steps in which the learning rate rises to its peak.
        schedule: how it falls afterwards.
        max_grad_norm: the length to which longer gradients are cut.
        gradient_checkpointing: whether to save memory by computing activations twice; about a fifth slower.
        lora: the adapter to put on a model that has none; None trains the whole model.
        dtype: the precision of the products (see ``load_trainee``).
        trust_remote_code: whether code that the model brings may be run.
        resume: whether to go on from the newest whole checkpoint of the same training, where there is one.
        save_seconds: the time after which a checkpoint is written.
        save_steps: the number of steps after which one is written; None leaves it to the time alone.
        on_step: called after every step with its number, the number of steps, and its figures (``loss``, ``margin``,
            ``accuracy``, ``logprob_chosen``, ``logprob_rejected``, ``nll``). The batches in which the reference is
            computed come first and count as steps; they have no figures.
        stop: asked after every step; if it says True, a checkpoint is written and ``Interrupted`` raised.

    Returns:
        What was trained, with every step's figures and all rejected rows.

    Raises:
        ModelError: if the model cannot be loaded or has no chat template.
        RecipeError: if no row is left to train on.
        RunError: if ``out`` exists.
        Interrupted: if ``stop`` said so.
    """
    own_seed = derive_seed(seed, "dpo", "training")
    pace = Pace(
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        accumulation=accumulation,
        warmup=warmup,
        schedule=schedule,
        max_grad_norm=max_grad_norm,
        gradient_checkpointing=gradient_checkpointing,
        save_seconds=save_seconds,
        save_steps=save_steps,
    )
    objective = Objective(loss=loss, beta=beta, nll_weight=nll_weight)
    trainee = load_trainee(model, lora=lora, seed=own_seed, dtype=dtype, trust_remote_code=trust_remote_code)
    examples = preference_examples(preferences, trainee.tokenizer, max_length=max_length)
    require_examples(examples.kept, examples.rejected, max_length)
    identity = {
        "stage": "dpo",
        "model": str(model),
        "seed": seed,
        "dtype": dtype,
        "lora": asdict(lora) if lora else None,
        "objective": asdict(objective),
        "pace": pace.identity,
        "rows": digest([asdict(row) for row in examples.kept]),
    }
    workplace = open_workplace(out, identity, resume=resume)
    trainer = dpo_trainer(examples.kept, trainee, workplace.folder, seed=own_seed, pace=pace, objective=objective)
    watch = Watch.of(on_step, stop)
    remembered, n_before = workplace.folder / _REFERENCE, 0
    if not remembered.exists():
        logprobs = trainer.reference_logprobs(watch, pace.n_steps(len(examples.kept)))
        write_whole(remembered, json.dumps(logprobs))
        n_before = math.ceil(len(examples.kept) / batch_size)
    trainer.take_reference(json.loads(remembered.read_text("utf-8")))
    steps = run_training(trainer, trainee, workplace, pace, watch, n_before=n_before)
    answers = [len(row.chosen_ids) + len(row.rejected_ids) for row in examples.kept]
    prompts = [2 * len(row.prompt_ids) for row in examples.kept]
    result = TrainingResult(
        folder=out,
        n_rows=len(examples.kept),
        n_steps=trainer.state.global_step,
        n_tokens=round((sum(answers) + sum(prompts)) * trainer.state.epoch),
        n_loss_tokens=round(sum(answers) * trainer.state.epoch),
        seconds=steps[-1]["seconds"],
        steps=steps,
        rejected=examples.rejected,
        notes=training_notes(trainee, workplace),
    )
    del trainer, trainee
    release_memory()
    return result


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
    columns = {
        "prompt_ids": [list(row.prompt_ids) for row in examples],
        "chosen_ids": [list(row.chosen_ids) for row in examples],
        "rejected_ids": [list(row.rejected_ids) for row in examples],
        _LABEL: [row.p_chosen for row in examples],
    }
    with quiet_libraries():
        arguments = DPOConfig(
            **trainer_arguments(pace, trainee, folder, seed),
            beta=objective.beta,
            max_length=None,
            # A whole model as its own reference: this keeps TRL from loading it a second time.
            precompute_ref_log_probs=not trainee.base,
        )
        trainer = SoftDpoTrainer(
            objective,
            model=trainee.model,
            args=use_one_device(arguments),
            train_dataset=Dataset.from_dict(columns),
            data_collator=_SoftPreferenceCollator(pad_token_id=trainee.tokenizer.pad_token_id),
            processing_class=trainee.tokenizer,
        )
        lengths = [len(row.prompt_ids) + max(len(row.chosen_ids), len(row.rejected_ids)) for row in examples]
        trainer.settle(lengths, pace, seed)
    return trainer
