"""Where it is shown how far a stage is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol


class Progress(Protocol):
    """Where progress is shown."""

    def begin(self, stage: str, total: int, done: int) -> None:
        """Open a bar; ``done`` rows were recorded before."""

    def advance(self, stage: str, note: str = "") -> None:
        """Count one row (or step) more."""

    def end(self, stage: str) -> None:
        """Close the bar."""


class NoProgress:
    """Shows nothing."""

    def begin(self, stage: str, total: int, done: int) -> None:
        """Ignore."""

    def advance(self, stage: str, note: str = "") -> None:
        """Ignore."""

    def end(self, stage: str) -> None:
        """Ignore."""


def step_bar(progress: Progress, label: str) -> Callable[[int, int, Mapping[str, float]], None]:
    """Give what shows a training's steps: told the number of each, of how many, and its figures."""
    begun = False

    def on_step(step: int, n_steps: int, logs: Mapping[str, float]) -> None:
        nonlocal begun
        if not begun:
            progress.begin(label, n_steps, step - 1)
            begun = True
        loss = logs.get("loss")
        progress.advance(label, "" if loss is None else f"loss {loss:.3f}")
        if step == n_steps:
            progress.end(label)

    return on_step
