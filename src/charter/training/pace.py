"""What a training is told: how to go about its rows, and who looks on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from charter.training.schedule import Schedule

OnStep = Callable[[int, int, Mapping[str, float]], None]
Stop = Callable[[], bool]


def rounded_up(steps: int, between: int) -> int:
    """Round a number of steps up to a multiple of those between two checkpoints."""
    return math.ceil(steps / between) * between


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on.

    Attributes:
        on_step: told the number of the step that was done, of how many, and its figures.
        stop: asked after every step whether to stop.
    """

    on_step: OnStep
    stop: Stop

    @classmethod
    def of(cls, on_step: OnStep | None, stop: Stop | None) -> Watch:
        """Let nobody look on where None was given."""
        return cls(on_step or (lambda _step, _n_steps, _logs: None), stop or (lambda: False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a training goes about its rows.

    Attributes:
        epochs: passes over the rows; 0.5 is half of one.
        learning_rate: its peak.
        batch_size: rows per forward pass; where fewer at once are faster, they are read so, in the same steps (see
            ``passes.rows_at_once``).
        accumulation: such batches per optimiser step.
        warmup: the share of the steps in which the learning rate rises to its peak.
        schedule: how it falls afterwards.
        max_grad_norm: the length to which longer gradients are cut.
        gradient_checkpointing: whether to save memory by computing activations twice; about a fifth slower.
        save_seconds: the time after which a checkpoint is written at the latest; where writing one takes little of it,
            sooner (see ``steps.checkpoint_is_due``).
        save_steps: the number of steps after which one is written; None leaves it to the time alone.
        snapshots: models that are kept on the way to the end (see ``snapshots``).
    """

    epochs: float = 1.0
    learning_rate: float = 2e-4
    batch_size: int = 8
    accumulation: int = 1
    warmup: float = 0.03
    schedule: Schedule = "cosine"
    max_grad_norm: float = 1.0
    gradient_checkpointing: bool = False
    save_seconds: float = 600.0
    save_steps: int | None = None
    snapshots: int = 0

    @property
    def identity(self) -> dict[str, Any]:
        """What of it determines the result."""
        given = asdict(self).items()
        return {name: value for name, value in given if not name.startswith("save_") and (name != "snapshots" or value)}

    def n_steps(self, n_rows: int) -> int:
        """Count the optimiser steps, as the trainer will."""
        n_batches = math.ceil(n_rows / self.batch_size)
        return math.ceil(self.epochs * math.ceil(n_batches / self.accumulation))
