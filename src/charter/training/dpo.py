"""DPO with a probability per pair (CAI §4.1's soft labels; arXiv 2305.18290)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from charter.records import Preference
from charter.training import ranks
from charter.training.adapters import LoraSettings, Precision
from charter.training.collapse import Guard
from charter.training.data import Examples, PreferenceExample, preference_examples
from charter.training.destinations import Logs
from charter.training.frame import Begun, Frame, Ready, do_training
from charter.training.guard import watch_answers
from charter.training.losses import LossName
from charter.training.pace import OnStep, Pace, Stop, Watch
from charter.training.preference_trainer import AtStart, Objective, SoftDpoTrainer, dpo_trainer
from charter.training.reference import KeptReference
from charter.training.results import TrainingResult, preferences_digest

_REFERENCE = "reference.lines"  # the reference's log-probabilities, a step to a line


def dpo(
    preferences: Sequence[Preference],
    model: str | Path,
    *,
    out: Path,
    seed: int,
    loss: LossName = "sigmoid",
    beta: float = 0.1,
    nll_weight: float = 0.0,
    length_normalised: bool = False,
    pace: Pace = Pace(learning_rate=5e-5),  # noqa: B008 - frozen
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
        length_normalised: whether margins are of log-ratios per token; ``beta`` is then to be larger.
        pace: epochs, learning rate, batches (of pairs), and how often a checkpoint is written.
        max_length: the most tokens of a prompt with either response, or its opening; other rows are rejected, and
            reported.
        opening_tokens: train on so many of each response's first tokens; a pair whose sides open alike is rejected.
            None trains on all.
        lora: the adapter to put on a model that has none; None trains the whole model. An adapter that is trained on
            keeps its own shape.
        dtype: the precision of the products (see ``load_trainee``).
        device: ``auto`` is a GPU where there is one; else a torch device such as ``cpu`` or ``cuda:1``.
        trust_remote_code: whether code that the model brings may be run.
        guard: looks at a few answers now and then, and ends the training where they degenerate (see
            ``collapse.Guard``); None looks at nothing. It changes nothing of a training that it does not end.
        logs: where the figures go as they come, beside the result (see ``logs.Logs``); None hands them to nobody.
        resume: whether to go on from the newest whole checkpoint of the same training, where there is one.
        on_step: called after every step with its number, the number of steps, and its figures (``loss``, ``margin``,
            ``accuracy``, ``logprob_chosen``, ``logprob_rejected``, ``nll``). The steps in which the reference is
            computed come first and count too; they have no figures.
        stop: asked after every step; if it says True, a checkpoint is written and ``Interrupted`` raised.

    Returns:
        What was trained, with every step's figures and all rejected rows.

    Raises:
        ModelError: if the model cannot be loaded or has no chat template, or the device is not there.
        RecipeError: if no row is left to train on.
        RunError: if ``out`` exists.
        Interrupted: if ``stop`` said so.
        Collapsed: if ``guard`` ended the training.
    """
    objective = Objective(loss=loss, beta=beta, nll_weight=nll_weight, length_normalised=length_normalised)

    def tokenise(tokenizer: Any) -> Examples[PreferenceExample]:
        return preference_examples(preferences, tokenizer, max_length=max_length, opening_tokens=opening_tokens)

    def build(begun: Begun[PreferenceExample]) -> Ready:
        kept, trainee, own_seed = begun.examples.kept, begun.trainee, begun.seed
        trainer = dpo_trainer(kept, trainee, begun.folder, seed=own_seed, pace=pace, objective=objective)
        n_before = _give_reference(trainer, begun.folder / _REFERENCE, begun.watch)
        return Ready(trainer, watch_answers(guard, preferences, begun.examples, trainee, seed=own_seed), n_before)

    frame = Frame(
        stage="dpo",
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
    rows = preferences_digest(preferences)
    settings = {"objective": asdict(objective), "opening_tokens": opening_tokens}
    return do_training(frame, rows, tokenise, build, **settings)


def _give_reference(trainer: SoftDpoTrainer, file: Path, watch: Watch) -> int:
    """Give the trainer its reference, computed now or before; returns how many steps that takes.

    What an earlier sitting has left in the file is not computed again. Of several processes each computes its part,
    once the weights are where they are trained: right before the first step.
    """
    kept, n_rows = KeptReference(file), len(trainer.train_dataset)
    if kept.knows(range(n_rows)):
        trainer.take_reference([kept.logprobs[row] for row in range(n_rows)])
        return 0

    def give() -> None:
        trainer.take_reference(trainer.reference_logprobs(watch, trainer.pace.n_steps(n_rows), kept))

    if ranks.n_ranks() == 1:
        give()
    else:
        trainer.add_callback(AtStart(give))
    return trainer.n_reference_steps()
