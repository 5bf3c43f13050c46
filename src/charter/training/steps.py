"""Who looks on at each step of a training: reports it, asks whether to stop, and says when to save."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback

from charter.training import ranks
from charter.training.pace import Pace, Watch


class StepWatch(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Reports each step, asks whether to stop, and says when to save.

    Args:
        buckets: the order of rows, which is told of each epoch.
        pace: how often a checkpoint is written.
        watch: who looks on.
        n_before: steps of another kind that ``watch`` has been told of before.
        steps_between: checkpoints fall on multiples of this many steps.

    Attributes:
        stopped: whether it was told to stop.
    """

    def __init__(self, buckets: Any, pace: Pace, watch: Watch, n_before: int, steps_between: int = 1) -> None:
        self._buckets = buckets
        self._pace = pace
        self._watch = watch
        self._n_before = n_before
        self._steps_between = steps_between
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
        every = self._pace.save_steps
        if not done and (late or (every is not None and state.global_step % every == 0)):
            control.should_save = True

    def on_save(self, *_args: Any, **_: Any) -> None:
        """Count the time anew."""
        self._saved = time.monotonic()

    def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
        """Tell of a step."""
        if "loss" in logs and ranks.is_first():
            self._watch.on_step(self._n_before + state.global_step, self._n_before + state.max_steps, logs)
