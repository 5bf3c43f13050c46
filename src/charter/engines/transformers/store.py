"""Where keys and values are kept: of shared prefixes, of running rows, of rows that were set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

_CELLS_STEP = 64  # the store grows by this many tokens a row ...
_ROWS_STEP = 8  # ... and by this many rows
# Some layers' keys and values are one piece of memory, so that growing needs no second copy of the whole, and yet the
# pieces are large enough to go back to the system when they are given up, instead of leaving holes.
_LAYERS_AT_ONCE = 6
_SLACK = 1.5  # times as wide as needed: then the store is narrowed


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Prefix:
    """Keys and values of tokens that many rows begin with.

    Per layer, ``keys`` and ``values`` of shape (n_kv_heads, n_tokens, head_size).
    """

    keys: Sequence[torch.Tensor]
    values: Sequence[torch.Tensor]
    n_tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class KeptRow:
    """A row's own keys, then values, set aside: (2 * n_layers, n_kv_heads, n_tokens, head_size).

    One piece of memory, because many small ones that come and go would leave the allocator full of holes.
    """

    cells: torch.Tensor


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What keys and values of a model look like."""

    n_layers: int
    n_kv_heads: int
    head_size: int
    dtype: torch.dtype
    device: torch.device

    @property
    def token_bytes(self) -> int:
        """What one token takes, in all layers."""
        return 2 * self.n_layers * self.n_kv_heads * self.head_size * self.dtype.itemsize


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
        """Make room for rows of a length, and give back what is much more than that; what fits is kept.

        Rows that have left are given back when the store is made longer or shorter, which copies it anyway: many short
        rows must not become as many long ones.
        """
        rows, cells = _rounded(n_rows, _ROWS_STEP), _rounded(n_cells, _CELLS_STEP)
        if cells < self.n_cells <= _SLACK * cells:
            cells = self.n_cells
        if cells == self.n_cells:
            rows = max(rows, self.n_rows)
        if (rows, cells) == (self.n_rows, self.n_cells):
            return
        kept_rows, kept_cells = min(rows, self.n_rows) * self._shape.n_kv_heads, min(cells, self.n_cells)
        for first in range(0, self._shape.n_layers, _LAYERS_AT_ONCE):
            layers = range(first, min(first + _LAYERS_AT_ONCE, self._shape.n_layers))
            room = iter(self._zeros(2 * len(layers), rows * self._shape.n_kv_heads, cells, self._shape.head_size))
            for stored in (self.keys, self.values):
                for layer in layers:
                    new = next(room)
                    new[:kept_rows, :kept_cells] = stored[layer][:kept_rows, :kept_cells]
                    stored[layer] = new
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
        return KeptRow(torch.stack([tensor[heads, :n_cells] for tensor in (*self.keys, *self.values)]))

    def put(self, row: int, kept: KeptRow, n_cells: int) -> None:
        """Write the first cells of what was set aside into a row."""
        heads = slice(row * self._shape.n_kv_heads, (row + 1) * self._shape.n_kv_heads)
        for tensor, old in zip((*self.keys, *self.values), kept.cells, strict=True):
            tensor[heads, :n_cells] = old[:, :n_cells]

    def _zeros(self, *shape: int) -> torch.Tensor:
        # Zeros, because a cell that is masked must still hold a number: 0 times NaN is NaN.
        return torch.zeros(shape, dtype=self._shape.dtype, device=self._shape.device)


def _rounded(number: int, step: int) -> int:
    return -(-number // step) * step
