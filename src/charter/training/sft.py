"""Supervised fine-tuning on prompt and response (CAI §3.1, last step)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trl import SFTConfig, SFTTrainer

from charter.records import SftRow
from charter.seeds import digest
from charter.training.adapters import LoraSettings, Precision, Trainee
from charter.training.builder import build_trainer
from charter.training.collapse import Guard
from charter.training.data import Examples, SftExample, sft_examples
from charter.training.destinations import Logs
from charter.training.frame import Begun, Frame, Ready, do_training
from charter.training.guard import watch_answers
from charter.training.logprobs import labelled
from charter.training.pace import OnStep, Pace, Stop
from charter.training.results import TrainingResult
from charter.training.trainer import Habits


class SftTrainer(Habits, SFTTrainer):  # type: ignore[misc]  # TRL is untyped
    """TRL's trainer with the loss computed on answer tokens alone."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Compute the mean negative log-likelihood of the labelled tokens, over the whole accumulated batch."""
        read = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        logprobs = self.answer_logprobs(model, read, labelled(inputs["labels"]))
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

    def tokenise(tokenizer: Any) -> Examples[SftExample]:
        return sft_examples(rows, tokenizer, max_length=max_length, opening_tokens=opening_tokens)

    def build(begun: Begun[SftExample]) -> Ready:
        trainer = sft_trainer(begun.examples.kept, begun.trainee, begun.folder, seed=begun.seed, pace=pace)
        return Ready(trainer, watch_answers(guard, rows, begun.examples, begun.trainee, seed=begun.seed))

    frame = Frame(
        stage="sft",
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
    content = digest(
        [[row.id, [turn.model_dump() for turn in row.prompt.turns], row.response, row.whole] for row in rows]
    )
    return do_training(frame, content, tokenise, build, opening_tokens=opening_tokens)


def sft_trainer(examples: Sequence[SftExample], trainee: Trainee, folder: Path, *, seed: int, pace: Pace) -> SftTrainer:
    """Build the trainer; ``folder`` receives its checkpoints."""
    columns = {
        "input_ids": [list(row.input_ids) for row in examples],
        "labels": [list(row.labels) for row in examples],
    }
    arguments = {"dataset_kwargs": {"skip_prepare_dataset": True}}
    lengths = [len(row.input_ids) for row in examples]
    kind = (SftTrainer, SFTConfig)
    trainer = build_trainer(kind, arguments, columns, trainee, folder, pace=pace, seed=seed, lengths=lengths)
    trainer.settle(lengths, pace, seed)
    return trainer
