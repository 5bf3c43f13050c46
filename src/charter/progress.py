"""Where it is shown how far a stage is."""

from __future__ import annotations

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
