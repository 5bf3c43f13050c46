"""How the rows of each step are divided into passes of one or several processes; it stays the training of one process.

A step has the same rows whoever takes them, and however many at once: ``batch_size`` times ``accumulation``, in the
same order. Every process takes its part of them in passes of ``batch_size`` rows at most, on some processors of fewer
(``rows_at_once``), and all make the same number of passes, for they wait for each other in each; where one has no row
for a pass, it repeats a row that counts for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Sampler

from charter.training.data import IGNORED
from charter.training.order import LengthBuckets
from charter.training.pace import Pace

ROW_WEIGHT = "row_weight"

# Of a pass on a CPU in float32, about. What a layer makes of so many stays in the processor's caches and in memory that
# it has; what it makes of a whole batch is fetched from the system anew for every product (measured with 32 MB of
# cache, 135M weights, pairs of 225 tokens: a step of 8 at once takes twice as long as 8 passes, and four times the
# memory; of 110 tokens, 2 or 4 at once take 0.8 of 8's time, and single ones 0.9).
_TOKENS_AT_ONCE = 256


class Share(NamedTuple):
    """A row in a pass of one process.

    Attributes:
        row: its number.
        weight: of its loss in the pass, so that the mean over passes and processes is what one process would have: the
            mean over the step's batches of the mean over each batch's rows. 0 of a row that is there to be waited with.
    """

    row: int
    weight: float


@dataclass(frozen=True, slots=True)
class Division:
    """How steps are divided.

    Attributes:
        batch_size: rows whose mean loss counts as one; of a pass at most.
        accumulation: such batches in a step.
        n_ranks: processes.
        at_once: rows of a pass, at most.
    """

    batch_size: int
    accumulation: int
    n_ranks: int
    at_once: int

    @property
    def is_whole(self) -> bool:
        """Whether passes are the batches."""
        return self.n_ranks == 1 and self.at_once >= self.batch_size

    @property
    def passes(self) -> int:
        """Passes of a whole step in each process."""
        return self._passes(self.batch_size * self.accumulation)

    @property
    def rows(self) -> int:
        """Rows of a pass in each process, at most."""
        return min(self.at_once, math.ceil(self.batch_size * self.accumulation / self.n_ranks))

    def n_passes(self, n_rows: int) -> int:
        """Count the passes over so many rows in each process."""
        whole, rest = divmod(n_rows, self.batch_size * self.accumulation)
        return whole * self.passes + (self._passes(rest) if rest else 0)

    def divide(self, order: Sequence[int], rank: int) -> list[list[Share]]:
        """Give the passes of one process over rows that come in an order."""
        step = self.batch_size * self.accumulation
        steps = [order[start : start + step] for start in range(0, len(order), step)]
        return [one for rows in steps for one in self._divide_step(rows, rank)]

    def _divide_step(self, rows: Sequence[int], rank: int) -> list[list[Share]]:
        batches = [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]
        n_passes = self._passes(len(rows))
        scale = self.n_ranks * n_passes / len(batches)
        shares = [[Share(row, scale / len(batch)) for row in batch] for batch in batches]
        if self.is_whole:
            return shares
        mine = _part([share for batch in shares for share in batch], rank, self.n_ranks)
        return [_part(mine, number, n_passes) or [Share(rows[0], 0.0)] for number in range(n_passes)]

    def _passes(self, n_rows: int) -> int:
        return math.ceil(math.ceil(n_rows / self.n_ranks) / self.at_once)


def _part(shares: list[Share], number: int, n: int) -> list[Share]:
    """Cut into parts of as equal a size as can be, neighbours together: they are of similar length."""
    return shares[number * len(shares) // n : (number + 1) * len(shares) // n]


class Passes(Sampler[list[Share]]):
    """The passes of one process over an epoch's rows, in the order of ``buckets`` (see ``LengthBuckets``)."""

    def __init__(self, buckets: LengthBuckets, division: Division, rank: int) -> None:
        self.buckets = buckets
        self.division = division
        self.rank = rank

    def __iter__(self) -> Iterator[list[Share]]:
        """Go through the passes of this epoch."""
        return iter(self.division.divide(list(self.buckets), self.rank))

    def __len__(self) -> int:
        """Count the passes."""
        return self.division.n_passes(len(self.buckets))


class SharedRows:
    """A trainer's rows as shares name them; what the trainer learns of its rows meanwhile is seen here too."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._trainer.train_dataset)

    def __getitem__(self, share: Share) -> Mapping[str, Any]:
        """Give a row with its weight."""
        return {**self._trainer.train_dataset[share.row], ROW_WEIGHT: share.weight}


def load_passes(trainer: Any, batches: Passes, *, pin_memory: bool) -> DataLoader[Any]:
    """Load the passes of one process, as the trainer's own collator puts them together."""

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        weights = torch.tensor([row.pop(ROW_WEIGHT) for row in rows], dtype=torch.float64)
        batch: dict[str, Any] = trainer.data_collator(rows)
        if "labels" in batch:  # of SFT, where a token counts as much as any other
            batch["labels"] = batch["labels"].masked_fill((weights == 0).unsqueeze(1), IGNORED)
        return {**batch, ROW_WEIGHT: weights}

    rows: Any = SharedRows(trainer)
    return DataLoader(rows, batch_sampler=batches, collate_fn=collate, pin_memory=pin_memory)


def division_of(pace: Pace, n_ranks: int, at_once: int | None = None, *, even: bool = False) -> Division:
    """Divide the steps of a training at this pace.

    Args:
        pace: batches, and how many make a step.
        n_ranks: processes.
        at_once: the most rows of a pass; a batch where it is None.
        even: whether all passes of a step have as many rows, as they must where they share what is drawn for them.
    """
    most = min(at_once or pace.batch_size, pace.batch_size)
    if even:
        own = math.ceil(pace.batch_size * pace.accumulation / n_ranks)
        most = max(n for n in range(1, min(most, own) + 1) if own % n == 0)
    return Division(pace.batch_size, pace.accumulation, n_ranks, most)


def rows_at_once(lengths: Sequence[int], device: torch.device, dtype: torch.dtype) -> int | None:
    """Say how many rows a pass should have, where that depends on the processor and not on the recipe.

    Args:
        lengths: each row's number of tokens.
        device: that trains.
        dtype: that its products are made in.

    Returns:
        At least 1; None leaves it to the recipe.
    """
    if device.type != "cpu" or dtype != torch.float32:
        return None
    return max(1, round(_TOKENS_AT_ONCE * len(lengths) / sum(lengths)))


def mean_of(values: torch.Tensor, inputs: Mapping[str, Any]) -> torch.Tensor:
    """Take the mean of a pass's rows, weighted where the rows of a step are divided; values (n_rows,)."""
    weights = inputs.get(ROW_WEIGHT)
    return values.mean() if weights is None else (values * weights.to(values.dtype)).sum()
