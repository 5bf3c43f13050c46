"""Attention over a shared prefix, stored once, and each row's own suffix (cascade attention).

A forward pass is *packed*: all rows' new tokens stand one after the other, without padding, so that the linear layers,
which cost the most, do no work for nothing. Which token belongs to which row is known to the pass object, which the
model's body hands to every layer's attention. Two kinds of pass exist:

- ``Prefill``: several new tokens a row, each row attending to one common prefix and to its own earlier tokens;
- ``Step``: one new token a row, the rows having different prefixes or none.

Both compute the scores over the prefix in one matrix product for all rows, the scores over the row's own tokens in
another, one softmax over both, and two products with the values. Heads that share keys and values (grouped-query
attention) are folded into the rows of those matrices, so that nothing is ever repeated. Keys are stored transposed,
(head_size, n_tokens): on a CPU the product of few queries with many keys is memory-bound that way, and up to four
times slower the other way round.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

# Scores that exist at once in a prefill, chosen to stay in a core's cache on a CPU; a GPU wants large products.
_SCORES_AT_ONCE_CPU, _SCORES_AT_ONCE_GPU = 2**19, 2**26
_MIN_CHUNK = 32  # queries of a row


class Stopped(Exception):  # noqa: N818 - reads as what happened
    """The engine is being closed: the forward pass was left in the middle."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """Keys and values of tokens that many rows begin with.

    Per layer, ``keys`` (n_kv_heads, head_size, n_tokens) and ``values`` (n_kv_heads, n_tokens, head_size).
    """

    keys: Sequence[torch.Tensor]
    values: Sequence[torch.Tensor]
    n_tokens: int


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What keys and values of a model look like."""

    n_layers: int
    n_kv_heads: int
    head_size: int
    dtype: torch.dtype
    device: torch.device


class Pass(Protocol):
    """What one forward pass needs to know about its tokens."""

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Map packed queries (n_tokens, n_heads, head_size) to outputs of that shape; keys and values are packed too.

        Raises:
            Stopped: the engine is being closed.
        """
        ...


class SuffixStore:
    """Keys and values of the running rows' own tokens, preallocated so that a step writes in place.

    Per layer, ``keys`` (n_rows * n_kv_heads, head_size, n_cells) and ``values`` (n_rows * n_kv_heads, n_cells,
    head_size). Growing goes layer by layer, so that it needs no second copy of the whole.
    """

    def __init__(self, shape: CacheShape) -> None:
        self._shape = shape
        self.n_rows = self.n_cells = 0
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self.release()

    def reserve(self, n_rows: int, n_cells: int) -> None:
        """Make room for rows of a length; what is stored is kept."""
        if n_rows <= self.n_rows and n_cells <= self.n_cells:
            return
        self.n_rows, self.n_cells = max(n_rows, self.n_rows), max(n_cells, self.n_cells)
        n, size = self.n_rows * self._shape.n_kv_heads, self._shape.head_size
        for layer in range(self._shape.n_layers):
            self.keys[layer] = _grown(self.keys[layer], self._zeros(n, size, self.n_cells))
            self.values[layer] = _grown(self.values[layer], self._zeros(n, self.n_cells, size))

    def release(self) -> None:
        """Give the memory back; nothing that was stored is kept."""
        self.keys = [self._zeros(0, 0, 0)] * self._shape.n_layers
        self.values = list(self.keys)
        self.n_rows = self.n_cells = 0

    def move(self, source: int, target: int, n_cells: int) -> None:
        """Copy a row's first cells over another row's."""
        for keys, values in zip(self.keys, self.values, strict=True):
            by_row = keys.view(self.n_rows, -1, *keys.shape[1:])
            by_row[target, ..., :n_cells] = by_row[source, ..., :n_cells]
            by_row = values.view(self.n_rows, -1, *values.shape[1:])
            by_row[target, :, :n_cells] = by_row[source, :, :n_cells]

    def _zeros(self, *shape: int) -> torch.Tensor:
        return torch.zeros(shape, dtype=self._shape.dtype, device=self._shape.device)


@dataclass(slots=True, eq=False)
class Prefill:
    """Several new tokens a row, after a common prefix.

    ``lengths`` are the rows' numbers of new tokens. Where ``store`` is given, the keys and values are written to its
    rows from ``first_row`` on; where ``capture`` is true, they are kept in ``captured``, to become a prefix.
    """

    lengths: Sequence[int]
    prefix: Prefix | None
    stop: threading.Event
    device: torch.device
    store: SuffixStore | None = None
    first_row: int = 0
    capture: bool = False
    captured: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    _spots: torch.Tensor | None = None

    def __post_init__(self) -> None:
        width = max(self.lengths)
        if min(self.lengths) < width:  # attention alone needs a rectangle: where in it each token stands
            spots = [torch.arange(length) + row * width for row, length in enumerate(self.lengths)]
            self._spots = torch.cat(spots).to(self.device)

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Attend to the prefix and causally within each row (see ``Pass``)."""
        if self.stop.is_set():
            raise Stopped
        n_kv_heads, head_size = key.shape[1:]
        queries = self._by_row(query * scaling, n_kv_heads)
        keys = self._by_row(key, n_kv_heads).transpose(1, 2)
        values = self._by_row(value, n_kv_heads)
        if self.store is not None:
            rows = slice(self.first_row * n_kv_heads, (self.first_row + len(self.lengths)) * n_kv_heads)
            self.store.keys[layer][rows, :, : keys.shape[2]] = keys
            self.store.values[layer][rows, : keys.shape[2]] = values
        if self.capture:
            self.captured.append((keys.contiguous(), values.contiguous()))
        output = torch.cat(list(self._chunks(layer, queries, keys, values)), 1)
        output = output.view(len(self.lengths), n_kv_heads, -1, query.shape[1] // n_kv_heads, head_size)
        output = output.transpose(1, 2).reshape(-1, query.shape[1], head_size)
        return output if self._spots is None else output.index_select(0, self._spots)

    def _chunks(
        self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> Iterable[torch.Tensor]:
        """Yield the outputs of consecutive queries, few enough for their scores to stay in the cache."""
        width = keys.shape[2]
        group = queries.shape[1] // width
        n_seen = width + (self.prefix.n_tokens if self.prefix is not None else 0)
        n_scores = _SCORES_AT_ONCE_CPU if self.device.type == "cpu" else _SCORES_AT_ONCE_GPU
        chunk = max(_MIN_CHUNK, n_scores // (queries.shape[0] * group * n_seen))
        ahead = torch.full((chunk, chunk), float("-inf"), dtype=keys.dtype, device=self.device).triu(1)
        ahead = ahead.repeat_interleave(group, 0)
        for start in range(0, width, chunk):
            end = min(start + chunk, width)
            asked = queries[:, start * group : end * group]
            scores = torch.bmm(asked, keys[:, :, :end])
            scores[:, :, start:] += ahead[: scores.shape[1], : end - start]
            yield _output(asked, scores, values[:, :end], self.prefix, layer)

    def _by_row(self, packed: torch.Tensor, n_kv_heads: int) -> torch.Tensor:
        """Lay packed tokens out as (n_rows * n_kv_heads, width * group, head_size), padded on the right."""
        n_rows, width, size = len(self.lengths), max(self.lengths), packed.shape[2]
        if self._spots is not None:
            room = packed.new_zeros((n_rows * width, *packed.shape[1:]))
            packed = room.index_copy_(0, self._spots, packed)
        by_row = packed.view(n_rows, width, n_kv_heads, -1, size).transpose(1, 2)
        return by_row.reshape(n_rows * n_kv_heads, -1, size)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The rows of a step that share a prefix: their numbers, or None for all rows."""

    rows: torch.Tensor | None
    prefix: Prefix | None


@dataclass(slots=True, eq=False)
class Step:
    """One new token a row: rows 0..n-1 of the store, each attending to its part's prefix and its own cells.

    ``positions`` (n_rows,) are the cells that the new tokens go to. ``mask`` (n_rows, 1, 1, width) is 0 where a row
    may look, else -inf.
    """

    store: SuffixStore
    positions: torch.Tensor
    mask: torch.Tensor
    parts: Sequence[Part]
    stop: threading.Event
    _key_cells: torch.Tensor | None = None
    _value_cells: torch.Tensor | None = None

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Attend to the row's prefix and to all of its own tokens (see ``Pass``)."""
        if self.stop.is_set():
            raise Stopped
        n_rows, n_kv_heads, size = key.shape
        width, group = self.mask.shape[-1], query.shape[1] // n_kv_heads
        self._write(layer, key, value)
        keys = self.store.keys[layer][: n_rows * n_kv_heads, :, :width]
        values = self.store.values[layer][: n_rows * n_kv_heads, :width]
        queries = (query * scaling).view(n_rows * n_kv_heads, group, size)
        scores = torch.bmm(queries, keys)
        scores.view(n_rows, n_kv_heads, group, width).add_(self.mask)
        if len(self.parts) == 1:
            return _output(queries, scores, values, self.parts[0].prefix, layer).view(query.shape)
        output = torch.empty_like(queries)
        for part in self.parts:
            rows = part.rows
            assert rows is not None  # noqa: S101 - only a lone part leaves its rows out
            heads = (rows[:, None] * n_kv_heads + torch.arange(n_kv_heads, device=rows.device)).view(-1)
            output[heads] = _output(queries[heads], scores[heads], values[heads], part.prefix, layer)
        return output.view(query.shape)

    def _write(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        n_rows, n_kv_heads, size = key.shape
        if self._key_cells is None or self._value_cells is None:
            heads = torch.arange(n_rows * n_kv_heads, device=key.device)
            positions = self.positions.repeat_interleave(n_kv_heads)
            starts = heads[:, None] * size + torch.arange(size, device=key.device)
            self._key_cells = (starts * self.store.n_cells + positions[:, None]).view(-1)
            self._value_cells = heads * self.store.n_cells + positions
        self.store.keys[layer].view(-1).index_copy_(0, self._key_cells, key.reshape(-1))
        self.store.values[layer].view(-1, size).index_copy_(0, self._value_cells, value.reshape(-1, size))


def _output(
    queries: torch.Tensor, scores: torch.Tensor, values: torch.Tensor, prefix: Prefix | None, layer: int
) -> torch.Tensor:
    """Finish attention from the scores over the rows' own tokens, with a prefix before them if there is one.

    Args:
        queries: (n_rows * n_kv_heads, n_queries, head_size), scaled.
        scores: (n_rows * n_kv_heads, n_queries, n_own), masked.
        values: (n_rows * n_kv_heads, n_own, head_size).
        prefix: what all the rows begin with.
        layer: the layer's number.
    """
    if prefix is None:
        return torch.bmm(torch.softmax(scores, -1), values)
    before = _prefix_product(queries, prefix.keys[layer])
    weights = torch.softmax(torch.cat((before, scores), -1), -1)
    output = torch.bmm(weights[..., prefix.n_tokens :], values)
    return output.add_(_prefix_product(weights[..., : prefix.n_tokens], prefix.values[layer]))


def _prefix_product(rows: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
    """Multiply (n_rows * n_kv_heads, n_queries, m) by (n_kv_heads, m, k) in one product for all rows."""
    n_kv_heads, n_queries = prefix.shape[0], rows.shape[1]
    folded = rows.view(-1, n_kv_heads, *rows.shape[1:]).transpose(0, 1).reshape(n_kv_heads, -1, rows.shape[2])
    product = torch.bmm(folded, prefix).view(n_kv_heads, -1, n_queries, prefix.shape[2])
    return product.transpose(0, 1).reshape(-1, n_queries, prefix.shape[2])


def _grown(old: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
    if old.numel():
        room[: old.shape[0], : old.shape[1], : old.shape[2]] = old
    return room
