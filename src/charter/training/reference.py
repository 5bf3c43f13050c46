"""The log-probabilities of DPO's reference, kept as they come: whoever is stopped or killed leaves the rest alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from charter.files.lines import append_line, take_up_lines
from charter.training import ranks


class KeptReference:
    """What is known of a reference, in every process alike.

    Args:
        file: where it is kept, a line for each step, by the first process; None keeps it nowhere.

    Attributes:
        logprobs: of chosen and rejected, by the row's number.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        lines = ranks.by_first(lambda: take_up_lines(file)) if file else []
        self.logprobs: dict[int, list[float]] = {row: both for line in lines for row, *both in line}

    def knows(self, rows: Iterable[int]) -> bool:
        """Tell whether all of these rows are known."""
        return all(row in self.logprobs for row in rows)

    def add(self, logprobs: Mapping[int, list[float]]) -> None:
        """Keep those of some rows; every process gives the same."""
        self.logprobs |= logprobs
        file = self._file
        if file is not None:
            ranks.by_first(lambda: append_line(file, [[row, *both] for row, both in logprobs.items()]))
