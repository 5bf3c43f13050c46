"""Supervised fine-tuning on prompt and response (CAI §3.1, last step)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from charter.engines.quiet import quiet_libraries
from charter.records import SftRow
from charter.seeds import derive_seed, digest
from charter.training.adapters import LoraSettings, Precision, Trainee, load_trainee
from charter.training.checkpoints import open_workplace
from charter.training.data import SftExample, sft_examples
from charter.training.pace import OnStep, Pace, Stop, Watch
from charter.training.schedule import Schedule
from charter.training.trainer import (
    Habits,
    TrainingResult,
    release_memory,
    require_examples,
    run_training,
    trainer_arguments,
    training_result,
    use_one_device,
)


class SftTrainer(Habits, SFTTrainer):  # type: ignore[misc]  # TRL is untyped
    """TRL's trainer with the loss computed on answer tokens alone."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Compute the mean negative log-likelihood of the labelled tokens, over the whole accumulated batch."""
        logprobs = self.answer_logprobs(model, inputs, inputs["labels"])
        n_tokens = len(logprobs) if num_items_in_batch is None else num_items_in_batch
        loss = -logprobs.sum() / n_tokens
        if num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # the tokens of all processes were counted, gradients averaged
        return (loss, None) if return_outputs else loss


def sft(
    rows: Sequence[SftRow],
    model: str | Path,
    *,
    out: Path,
    seed: int,
    epochs: float = 1.0,
    learning_rate: float = 2e-4,
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
    """Fine-tune a model on rows; loss falls on each response and its end of turn.

    Args:
        rows: what to train on.
        model: an embedded name, a model's or an adapter's folder, or a hub id. An adapter is trained on.
        out: the folder to write; it must not exist.
        seed: what the adapter's first weights, the order of the rows and dropout are drawn from.
        epochs: passes over the rows; 0.5 is half of one.
        learning_rate: its peak.
        batch_size: rows per forward pass.
        accumulation: forward passes per optimiser step.
        max_length: the most tokens of a row; longer rows are rejected, and reported in the result.
        warmup: the share of the steps in which the learning rate rises to its peak.
        schedule: how it falls afterwards.
        max_grad_norm: the length to which longer gradients are cut.
        gradient_checkpointing: whether to save memory by computing activations twice; about a fifth slower.
        lora: the new adapter; None trains the whole model.
        dtype: the precision of the products (see ``load_trainee``).
        trust_remote_code: whether code that the model brings may be run.
        resume: whether to go on from the newest whole checkpoint of the same training, where there is one.
        save_seconds: the time after which a checkpoint is written.
        save_steps: the number of steps after which one is written; None leaves it to the time alone.
        on_step: called after every step with its number, the number of steps, and its figures.
        stop: asked after every step; if it says True, a checkpoint is written and ``Interrupted`` raised.

    Returns:
        What was trained, with every step's loss and all rejected rows.

    Raises:
        ModelError: if the model cannot be loaded or has no chat template.
        RecipeError: if no row is left to train on.
        RunError: if ``out`` exists.
        Interrupted: if ``stop`` said so.
    """
    own_seed = derive_seed(seed, "sft", "training")
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
    trainee = load_trainee(model, lora=lora, seed=own_seed, dtype=dtype, trust_remote_code=trust_remote_code)
    examples = sft_examples(rows, trainee.tokenizer, max_length=max_length)
    require_examples(examples, max_length)
    identity = {
        "stage": "sft",
        "model": str(model),
        "seed": seed,
        "dtype": dtype,
        "lora": asdict(lora) if lora else None,
        "pace": pace.identity,
        "rows": digest([[row.id, row.input_ids, row.labels] for row in examples.kept]),
    }
    workplace = open_workplace(out, identity, resume=resume)
    trainer = sft_trainer(examples.kept, trainee, workplace.folder, seed=own_seed, pace=pace)
    steps = run_training(trainer, trainee, workplace, Watch.of(on_step, stop))
    result = training_result(trainer, trainee, workplace, steps, examples)
    del trainer, trainee
    release_memory()
    return result


def sft_trainer(examples: Sequence[SftExample], trainee: Trainee, folder: Path, *, seed: int, pace: Pace) -> SftTrainer:
    """Build the trainer; ``folder`` receives its checkpoints."""
    with quiet_libraries():
        arguments = SFTConfig(
            **trainer_arguments(pace, trainee, folder, seed), dataset_kwargs={"skip_prepare_dataset": True}
        )
        columns = {
            "input_ids": [list(row.input_ids) for row in examples],
            "labels": [list(row.labels) for row in examples],
        }
        trainer = SftTrainer(
            model=trainee.model,
            args=use_one_device(arguments),
            train_dataset=Dataset.from_dict(columns),
            processing_class=trainee.tokenizer,
        )
        trainer.settle([len(row.input_ids) for row in examples], pace, seed)
    return trainer
