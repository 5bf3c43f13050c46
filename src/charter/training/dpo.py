"""DPO with a probability per pair (CAI §4.1's soft labels; arXiv 2305.18290)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from charter.records import Preference
from charter.seeds import derive_seed, digest
from charter.training.adapters import LoraSettings, Precision, load_trainee
from charter.training.checkpoints import open_workplace, write_whole
from charter.training.data import preference_examples
from charter.training.losses import LossName
from charter.training.pace import OnStep, Pace, Stop, Watch
from charter.training.preference_trainer import Objective, dpo_trainer
from charter.training.schedule import Schedule
from charter.training.trainer import (
    TrainingResult,
    release_memory,
    require_examples,
    run_training,
    training_result,
)

_REFERENCE = "reference.json"  # the reference's log-probabilities, in the order of the rows


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
    require_examples(examples, max_length)
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
    steps = run_training(trainer, trainee, workplace, watch, n_before=n_before)
    result = training_result(trainer, trainee, workplace, steps, examples)
    del trainer, trainee
    release_memory()
    return result
