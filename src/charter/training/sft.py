"""Supervised fine-tuning on prompt and response (CAI §3.1, last step)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from charter.engines.memory import release_memory
from charter.engines.quiet import quiet_libraries
from charter.records import SftRow
from charter.seeds import derive_seed
from charter.training import ranks
from charter.training.adapters import LoraSettings, Precision, Trainee, load_trainee
from charter.training.checkpoints import open_workplace
from charter.training.collapse import Guard
from charter.training.data import SftExample, sft_examples
from charter.training.destinations import Logs
from charter.training.guard import watch_answers
from charter.training.pace import OnStep, Pace, Stop, Watch
from charter.training.results import TrainingResult, earlier_result, training_identity
from charter.training.trainer import Habits, require_examples, run_training, trainer_arguments, use_one_device


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
    pace: Pace = Pace(),  # noqa: B008 - frozen
    max_length: int = 1024,
    opening_tokens: int | None = None,
    lora: LoraSettings | None = LoraSettings(),  # noqa: B008 - frozen
    dtype: Precision = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
    guard: Guard | None = None,
    logs: Logs | None = None,
    resume: bool = True,
    on_step: OnStep | None = None,
    stop: Stop | None = None,
) -> TrainingResult:
    """Train a model to answer as the rows do; loss falls on answers only.

    Args:
        rows: what to train on.
        model: an embedded name, a model's folder, a hub id, or an adapter's folder, whose adapter is then trained on.
        out: the folder to write; it must not exist.
        seed: what the adapter's first weights, the order of the rows and dropout are drawn from.
        pace: epochs, learning rate, batches, and how often a checkpoint is written.
        max_length: the most tokens of a row, of its response the opening; longer rows are rejected, and reported in
            the result.
        opening_tokens: train on so many of each response's first tokens; None trains on all.
        lora: the new adapter; None trains the whole model.
        dtype: the precision of the products (see ``load_trainee``).
        device: ``auto`` is a GPU where there is one; else a torch device such as ``cpu`` or ``cuda:1``.
        trust_remote_code: whether code that the model brings may be run.
        guard: looks at a few answers now and then, and ends the training where they degenerate (see
            ``collapse.Guard``); None looks at nothing. It changes nothing of a training that it does not end.
        logs: where the figures go as they come, beside the result (see ``logs.Logs``); None hands them to nobody.
        resume: whether to go on from the newest whole checkpoint of the same training, where there is one.
        on_step: called after every step with its number, the number of steps, and its figures.
        stop: asked after every step; if it says True, a checkpoint is written and ``Interrupted`` raised.

    Returns:
        What was trained, with every step's loss and all rejected rows.

    Raises:
        ModelError: if the model cannot be loaded or has no chat template, or the device is not there.
        RecipeError: if no row is left to train on.
        RunError: if ``out`` exists.
        Interrupted: if ``stop`` said so.
        Collapsed: if ``guard`` ended the training.
    """
    identity = training_identity(
        "sft",
        model,
        [[row.id, [turn.model_dump() for turn in row.prompt.turns], row.response, row.whole] for row in rows],
        pace=pace,
        lora=lora,
        trust_remote_code=trust_remote_code,
        seed=seed,
        max_length=max_length,
        opening_tokens=opening_tokens,
        dtype=dtype,
    )
    if resume and (earlier := ranks.by_first(lambda: earlier_result(out, identity))):
        return earlier
    own_seed = derive_seed(seed, "sft", "training")
    trainee = load_trainee(
        model, lora=lora, seed=own_seed, dtype=dtype, device=device, trust_remote_code=trust_remote_code
    )
    examples = sft_examples(rows, trainee.tokenizer, max_length=max_length, opening_tokens=opening_tokens)
    require_examples(examples, max_length)
    workplace = ranks.by_first(lambda: open_workplace(out, identity, resume=resume))
    trainer = sft_trainer(examples.kept, trainee, workplace.folder, seed=own_seed, pace=pace)
    watched = watch_answers(guard, rows, examples, trainee, seed=own_seed)
    result = run_training(trainer, trainee, examples, workplace, Watch.of(on_step, stop), guard=watched, logs=logs)
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
            args=use_one_device(arguments, trainee.device),
            train_dataset=Dataset.from_dict(columns),
            processing_class=trainee.tokenizer,
        )
        trainer.settle([len(row.input_ids) for row in examples], pace, seed)
    return trainer
