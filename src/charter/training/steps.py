"""Who looks on at each step of a training: reports it, asks whether to stop, and says when to save."""

from __future__ import annotations

import math
import time
from typing import Any

from transformers import TrainerCallback

from charter.errors import Collapsed
from charter.training import ranks
from charter.training.pace import Pace, Watch, rounded_up


class StepWatch(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Reports each step, asks whether to stop, and says when to save.

    Args:
        trainer: whose rows have another order in each epoch, and whose checkpoints are saved.
        watch: who looks on.
        n_before: steps of another kind that ``watch`` has been told of before.
        stage: what is trained, as it is called in a recipe.

    Attributes:
        stopped: whether it was told to stop.
    """

    def __init__(self, trainer: Any, watch: Watch, n_before: int, stage: str) -> None:
        self._buckets = trainer.buckets
        self._pace: Pace = trainer.pace
        self._watch = watch
        self._n_before = n_before
        self._steps_between: int = trainer.steps_between_checkpoints
        self._stage = stage
        self._saved = time.monotonic()
        self.stopped = False

    def on_epoch_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Have the rows come in the epoch's own order."""
        self._buckets.epoch = int(state.epoch or 0)  # set here, for a resumed epoch's loader does not pass it on

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop where that is asked for, and save where it is time."""
        if state.global_step % self._steps_between:
            return
        done = state.global_step >= state.max_steps
        late = time.monotonic() - self._saved >= self._pace.save_seconds
        stop, late = ranks.any_of(not done and self._watch.stop(), late)
        if stop:
            self.stopped = control.should_training_stop = control.should_save = True
        every = self._pace.save_steps and rounded_up(self._pace.save_steps, self._steps_between)
        if not done and (late or (every is not None and state.global_step % every == 0)):
            control.should_save = True

    def on_save(self, *_args: Any, **_: Any) -> None:
        """Count the time anew."""
        self._saved = time.monotonic()

    def on_log(self, args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
        """Tell of a step; of one whose loss is no number before its checkpoint is written.

        Raises:
            Collapsed: where the loss or the gradient is no finite number: no later step mends that, and behind the last
                one nobody would see it.
        """
        if "loss" not in logs:
            return
        if ranks.is_first():
            self._watch.on_step(self._n_before + state.global_step, self._n_before + state.max_steps, logs)
        # Gradients of float16 overflow at times; such a step is left out, and the next is scaled otherwise. Any other
        # that overflows is cut to a length of nothing, and infinity times nothing is no number.
        is_broken = not args.fp16 and not math.isfinite(logs.get("grad_norm") or 0.0)
        if is_broken or not math.isfinite(logs["loss"]):
            raise Collapsed(
                f"{self._stage}: the training diverged at step {state.global_step} of {state.max_steps}: its loss is "
                f"{logs['loss']}, the norm of its gradient {logs.get('grad_norm')}. Take a lower "
                f"{self._stage}.learning_rate, a longer {self._stage}.warmup or models.policy.dtype float32, in a new "
                "folder (--out)."
            )
