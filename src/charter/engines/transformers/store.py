"""Where keys and values are kept: of shared prefixes, of running rows, of rows that were set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

_CELLS_STEP = 64  # the store grows by this many tokens a row ...
_ROWS_STEP = 8  # ... and by this many rows
_SLACK = 1.5  # times as wide as needed: then the store is narrowed


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """Keys and values of tokens that many rows begin with.

    Per layer, ``keys`` and ``values`` of shape (n_kv_heads, n_tokens, head_size).
    """

    keys: Sequence[torch.Tensor]
    values: Sequence[torch.Tensor]
    n_tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class KeptRow:
    """A row's own keys and values, set aside: per layer (n_kv_heads, n_tokens, head_size)."""

    keys: Sequence[torch.Tensor]
    values: Sequence[torch.Tensor]


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What keys and values of a model look like."""

    n_layers: int
    n_kv_heads: int
    head_size: int
    dtype: torch.dtype
    device: torch.device


class SuffixStore:
    """Keys and values of the running rows' own tokens, preallocated so that a step writes in place.

    Per layer, ``keys`` and ``values`` of shape (n_rows * n_kv_heads, n_cells, head_size). All cells are read at every
    step, the unused ones for nothing: a narrower view would be copied by the matrix product. So the store is kept
    about as wide as its longest row.
    """

    def __init__(self, shape: CacheShape) -> None:
        self._shape = shape
        self.n_rows = self.n_cells = 0
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self.release()

    def fit(self, n_rows: int, n_cells: int) -> None:
        """Make room for rows of a length, and give back what is much more than that; what fits is kept."""
        rows, cells = _rounded(n_rows, _ROWS_STEP), _rounded(n_cells, _CELLS_STEP)
        if cells < self.n_cells <= _SLACK * cells:
            cells = self.n_cells
        rows = max(rows, self.n_rows)
        if (rows, cells) == (self.n_rows, self.n_cells):
            return
        n_heads = self._shape.n_kv_heads
        for stored in (self.keys, self.values):
            for layer, old in enumerate(stored):  # layer by layer: growing needs no second copy of the whole
                room = self._zeros(rows * n_heads, cells, self._shape.head_size)
                kept = min(cells, self.n_cells)
                room[: self.n_rows * n_heads, :kept] = old[:, :kept]
                stored[layer] = room
        self.n_rows, self.n_cells = rows, cells

    def release(self) -> None:
        """Give the memory back; nothing that was stored is kept."""
        self.keys = [self._zeros(0, 0, self._shape.head_size)] * self._shape.n_layers
        self.values = list(self.keys)
        self.n_rows = self.n_cells = 0

    def move(self, source: int, target: int) -> None:
        """Copy a row over another."""
        heads = self._shape.n_kv_heads
        for tensor in (*self.keys, *self.values):
            tensor[target * heads : (target + 1) * heads] = tensor[source * heads : (source + 1) * heads]

    def copy(self, row: int, n_cells: int) -> KeptRow:
        """Set a row's first cells aside."""
        heads = slice(row * self._shape.n_kv_heads, (row + 1) * self._shape.n_kv_heads)
        return KeptRow(*([t[heads, :n_cells].clone() for t in stored] for stored in (self.keys, self.values)))

    def put(self, row: int, kept: KeptRow, n_cells: int) -> None:
        """Write the first cells of what was set aside into a row."""
        heads = slice(row * self._shape.n_kv_heads, (row + 1) * self._shape.n_kv_heads)
        for stored, saved in ((self.keys, kept.keys), (self.values, kept.values)):
            for tensor, old in zip(stored, saved, strict=True):
                tensor[heads, :n_cells] = old[:, :n_cells]

    def _zeros(self, *shape: int) -> torch.Tensor:
        # Zeros, because a cell that is masked must still hold a number: 0 times NaN is NaN.
        return torch.zeros(shape, dtype=self._shape.dtype, device=self._shape.device)


def _rounded(number: int, step: int) -> int:
    return -(-number // step) * step
