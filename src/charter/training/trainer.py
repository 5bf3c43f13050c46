"""What all trainers share: changed habits of TRL's, and one training from start to end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback

from charter.engines.quiet import quiet_libraries
from charter.errors import Interrupted
from charter.seeds import derive_seed
from charter.training import ranks
from charter.training.adapters import Trainee, base_of, save_trained
from charter.training.checkpoints import Workplace, checkpoint_at, finish, fitting, prune, seal
from charter.training.data import Examples
from charter.training.destinations import Logs
from charter.training.guard import AtLastGood, GuardWatch
from charter.training.logprobs import Asked, answer_logprobs, has_plain_head
from charter.training.logs import followed
from charter.training.order import LengthBuckets
from charter.training.pace import Pace, Watch
from charter.training.passes import Division, Passes, load_passes
from charter.training.results import TrainingResult, as_numbers
from charter.training.schedule import learning_rate_share
from charter.training.snapshots import Snapshots
from charter.training.steps import StepWatch
from charter.training.trained_weights import gather_trained, go_back

# Up to this length a CPU is faster with plain matrix products than with its fused attention, whose backward pass is
# slow there (measured: 1.2-1.35x at 80-512 tokens, 0.6x at 1024). It takes the softmax in float32: not for float64.
_EAGER_ATTENTION_UP_TO = 512


class Habits:
    """Changes to a TRL trainer: length buckets, answer-only logits, sealed checkpoints, no reports to anyone.

    Mixed in before the TRL class. ``settle`` is called once on the new trainer, which ``build_trainer`` has told its
    ``division``.
    """

    division: Division
    kept_steps: tuple[int, ...] = ()  # whose checkpoints are kept beside the newest two
    notes: tuple[str, ...] = ()  # what the result is to say of how rows were read

    # Of the trainer that this is mixed into.
    args: Any
    model: Any
    train_dataset: Any
    state: Any
    accelerator: Any
    optimizer: Any
    control: Any
    callback_handler: Any

    #: Checkpoints fall on multiples of this many steps.
    steps_between_checkpoints = 1

    @quiet_libraries()
    def settle(self, lengths: Sequence[int], pace: Pace, seed: int, longest: int | None = None) -> None:
        """Say how long the rows are and how to go about them, and find out how the head may be computed.

        ``longest`` is the most tokens that a row of a batch has, where that is not the rows' own length.
        """
        self.buckets = LengthBuckets(lengths, pace.batch_size, seed)
        self.pace = pace
        self.started = time.perf_counter()
        base = base_of(self.model)
        short = (longest or max(lengths)) <= _EAGER_ATTENTION_UP_TO
        if self.args.device.type == "cpu" and short and base.dtype != torch.float64:
            for model in filter(None, (base, getattr(self, "ref_model", None))):  # read alike, to the last digit
                model.set_attn_implementation("eager")
        if ranks.n_ranks() > 1:
            torch.manual_seed(derive_seed(seed, str(ranks.rank()), "rank"))  # other rows, other draws of dropout
        if ranks.shards_weights():
            self.plain_head = False  # the head's weight is whole only while the model computes with it
            return
        with self.accelerator.autocast():
            self.plain_head = has_plain_head(base)

    def answer_logprobs(self, model: Any, inputs: Mapping[str, Any], asked: Asked) -> Any:
        """Compute the log-probabilities of some tokens (see ``logprobs.answer_logprobs``)."""
        return answer_logprobs(model, inputs, asked, plain_head=self.plain_head)

    def own_passes(self) -> Passes:
        """Give the passes of this process over the rows of an epoch."""
        return Passes(self.buckets, self.division, ranks.rank())

    def get_train_dataloader(self) -> Any:
        """Load the rows of this process: batch by batch, or its part of every step (see ``passes``)."""
        if self.division.is_whole:
            return super().get_train_dataloader()  # type: ignore[misc]  # of the trainer that this is mixed into
        return load_passes(self, self.own_passes(), pin_memory=self.args.dataloader_pin_memory)

    def _prepare_input(self, data: Any) -> Any:
        if isinstance(data, torch.Tensor) and data.dtype == torch.float64:
            return data.to(self.args.device)  # DeepSpeed would have what is known exactly in half precision
        return super()._prepare_input(data)  # type: ignore[misc]  # as above

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Make the learning rate follow ``learning_rate_share``."""

        def share(step: int) -> float:
            return learning_rate_share(step, num_training_steps, self.pace.warmup, self.pace.schedule)

        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, share)
        return self.lr_scheduler

    def _get_train_sampler(self, _train_dataset: Any = None) -> LengthBuckets:
        return self.buckets

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[misc]  # of the trainer that this is mixed into
        checkpoint = checkpoint_at(Path(self.args.output_dir), self.state.global_step)
        ranks.barrier()  # each process writes its own random state, and parts of sharded weights

        def complete() -> None:
            seal(checkpoint)
            prune(checkpoint.parent, checkpoint, *self.kept_steps)

        ranks.by_first(complete)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the time spent so far, over all sittings, to a step's figures."""
        earlier = self.state.log_history[-1]["seconds"] if self.state.log_history else 0.0
        now = time.perf_counter()
        logs["seconds"] = earlier + now - self.started
        self.started = now
        super().log(logs, start_time)  # type: ignore[misc]  # as above

    def count_tokens(self, examples: Sequence[Any]) -> tuple[int, int]:
        """Count the tokens of the rows so far, in all sittings, and of them those that bore loss."""
        epochs = self.state.epoch
        n_read, n_loss = sum(one.n_tokens for one in examples), sum(one.n_loss_tokens for one in examples)
        return round(n_read * epochs), round(n_loss * epochs)

    def report(self, figures: Mapping[str, float]) -> None:
        """Tell whoever follows the training figures that are no step's, and that TRL's own are not mixed with."""
        is_due = self.control.should_log  # of the step, which whoever is told believes to have heard
        self.callback_handler.on_log(self.args, self.state, self.control, dict(figures))
        self.control.should_log = is_due

    def create_model_card(self, *_args: Any, **_kwargs: Any) -> None:
        """Write no card: a model's card is written on publishing, from the run's figures."""

    def _send_telemetry(self) -> None:
        """Tell nobody what is trained."""


def run_training(
    trainer: Any,
    trainee: Trainee,
    examples: Examples[Any],
    workplace: Workplace,
    watch: Watch,
    *,
    n_before: int = 0,
    guard: GuardWatch | None = None,
    logs: Logs | None = None,
) -> TrainingResult:
    """Train from the start or the last checkpoint to the end, and put the result in its place.

    Args:
        trainer: a settled trainer.
        trainee: what it trains.
        examples: what it trains on, and the rows that it does not.
        workplace: where it keeps its checkpoints, and where the result goes.
        watch: who looks on.
        n_before: steps of another kind that ``watch`` has been told of before.
        guard: looks at the model's answers now and then, and may end the training.
        logs: where the figures go as they come.

    Returns:
        What was trained, with each step's figures, those of earlier sittings included.

    Raises:
        Interrupted: if ``watch`` said so; a checkpoint has been written.
        Collapsed: if ``guard`` ended the training, now or before; its last good checkpoint is kept. And where the loss
            is no number any more.
    """
    workplace = fitting(workplace, ranks.sharding())
    steps = StepWatch(trainer, watch, n_before, str(workplace.identity["stage"]))
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(steps)
    if trainer.pace.snapshots:
        trainer.add_callback(Snapshots(trainer, trainee, workplace, trainer.pace.snapshots))
    if guard is not None:
        guard.attach(trainer, workplace)
        trainer.add_callback(guard)
    # What the libraries call "cuda", without a number, is the current one.
    on_device = torch.cuda.device(trainee.device) if trainee.device.type == "cuda" else nullcontext()
    with quiet_libraries(), on_device, followed(trainer, logs, workplace):
        with suppress(AtLastGood):
            trainer.train(resume_from_checkpoint=str(workplace.checkpoint) if workplace.checkpoint else None)
        if steps.stopped:
            raise Interrupted(
                f"training was stopped at step {trainer.state.global_step} of {trainer.state.max_steps}; "
                f"its checkpoint is in {workplace.folder}: resume to go on from there"
            )
        good = guard.settle() if guard else None
        if good is not None:
            go_back(trainer, good)
        state = gather_trained(trainer)
        if ranks.is_first():
            save_trained(trainer.model, trainee.tokenizer, workplace.staged, trainee.base, state)
    result = _result(trainer, trainee, examples, workplace, guard)
    ranks.by_first(lambda: finish(workplace, result.to_json()))
    return result


def _result(
    trainer: Any, trainee: Trainee, examples: Examples[Any], workplace: Workplace, guard: GuardWatch | None
) -> TrainingResult:
    state, (n_tokens, n_loss_tokens) = trainer.state, trainer.count_tokens(examples.kept)
    steps = tuple(as_numbers(entry) for entry in state.log_history if "loss" in entry)
    notes: tuple[str, ...] = (f"went on from {workplace.checkpoint.name}",) if workplace.checkpoint else ()
    notes += tuple(guard.notes(state.global_step)) if guard is not None else ()
    return TrainingResult(
        folder=workplace.out,
        n_rows=len(examples.kept),
        n_steps=state.global_step,
        n_tokens=n_tokens,
        n_loss_tokens=n_loss_tokens,
        seconds=steps[-1]["seconds"],
        steps=steps,
        rejected=examples.rejected,
        notes=trainee.notes + trainer.notes + workplace.notes + notes,
        looks=tuple(guard.looks) if guard else (),
    )
