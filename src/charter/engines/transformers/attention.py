"""Attention over a shared prefix, stored once, and each row's own suffix (cascade attention).

A forward pass is *packed*: all rows' new tokens stand one after the other, without padding, so that the linear layers,
which cost the most, do no work for nothing. Which token belongs to which row is known to the pass object, which the
model's body hands to every layer's attention. Two kinds of pass exist:

- ``Prefill``: several new tokens a row, each row attending to one common prefix and to its own earlier tokens;
- ``Step``: one new token a row, the rows having different prefixes or none.

Both compute the scores over the prefix in one matrix product for all rows, the scores over the row's own tokens in
another, one softmax over both, and two products with the values. Heads that share keys and values (grouped-query
attention) are folded into the rows of those matrices, so that nothing is ever repeated.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from charter.engines.transformers.store import Prefix, SuffixStore

# Scores that exist at once in a prefill, chosen to stay in a core's cache on a CPU; a GPU wants large products.
_SCORE_BYTES_CPU, _SCORE_BYTES_GPU = 2**21, 2**27
_MIN_QUERIES = 32  # of one row at once


class Stopped(Exception):  # noqa: N818 - reads as what happened
    """The engine is being closed: the forward pass was left in the middle."""


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


@dataclass(slots=True, eq=False)
class Prefill:
    """Several new tokens a row, after a common prefix.

    ``lengths`` are the rows' numbers of new tokens. Where ``store`` is given, the keys and values are written to its
    rows from ``first_row`` on, behind the ``n_known`` cells of each row that are filled already (none, if empty). Where
    ``capture`` is true, they are kept in ``captured``, to become a prefix.
    """

    lengths: Sequence[int]
    prefix: Prefix | None
    stop: threading.Event
    device: torch.device
    store: SuffixStore | None = None
    first_row: int = 0
    n_known: Sequence[int] = ()
    capture: bool = False
    captured: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    _width: int = 0
    _spots: torch.Tensor | None = None
    _unseen: torch.Tensor | None = None

    def __post_init__(self) -> None:
        self._width = max(self.lengths)
        if min(self.lengths) < self._width:  # attention alone needs a rectangle: where in it each token stands
            spots = [torch.arange(length) + row * self._width for row, length in enumerate(self.lengths)]
            self._spots = torch.cat(spots).to(self.device)

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Attend to the prefix and causally within each row (see ``Pass``)."""
        if self.stop.is_set():
            raise Stopped
        n_heads, n_kv_heads, size = query.shape[1], *key.shape[1:]
        queries = self._by_row(query * scaling, n_kv_heads)
        keys, values = self._by_row(key, n_kv_heads), self._by_row(value, n_kv_heads)
        if self.store is not None:
            keys, values = self._stored(self.store, layer, keys, values)
        if self.capture:
            self.captured.append((keys, values))
        output = self._causal(layer, queries, keys, values)
        output = output.view(len(self.lengths), n_kv_heads, self._width, -1, size)
        output = output.transpose(1, 2).reshape(-1, n_heads, size)
        return output if self._spots is None else output.index_select(0, self._spots)

    def _stored(
        self, store: SuffixStore, layer: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new keys and values to the store; what the rows attend to, new and known."""
        n_kv_heads = len(keys) // len(self.lengths)
        rows = slice(self.first_row * n_kv_heads, (self.first_row + len(self.lengths)) * n_kv_heads)
        seen = []
        for stored, new in ((store.keys[layer][rows], keys), (store.values[layer][rows], values)):
            if not self.n_known:
                stored[:, : self._width] = new
                seen.append(new)
                continue
            for row, (known, length) in enumerate(zip(self.n_known, self.lengths, strict=True)):
                heads = slice(row * n_kv_heads, (row + 1) * n_kv_heads)
                stored[heads, known : known + length] = new[heads, :length]
            seen.append(stored[:, : self._n_seen])
        return seen[0], seen[1]

    @property
    def _n_seen(self) -> int:
        """The longest row, its known cells included."""
        known = self.n_known or [0] * len(self.lengths)
        return max(old + new for old, new in zip(known, self.lengths, strict=True))

    def _causal(self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Attend piece by piece, so that each piece's scores stay in the cache."""
        n_kv_heads, group = len(queries) // len(self.lengths), queries.shape[1] // self._width
        n_seen = self._n_seen + (0 if self.prefix is None else self.prefix.n_tokens)
        n_bytes = _SCORE_BYTES_CPU if self.device.type == "cpu" else _SCORE_BYTES_GPU
        n_fitting = n_bytes // (n_kv_heads * group * n_seen * queries.element_size())  # queries of one row
        wide = min(self._width, max(_MIN_QUERIES, n_fitting))
        high = max(1, n_fitting // wide)
        output = torch.empty_like(queries)
        for top in range(0, len(self.lengths), high):
            heads = slice(top * n_kv_heads, (top + high) * n_kv_heads)
            for start in range(0, self._width, wide):
                end = min(start + wide, self._width)
                n_reach = keys.shape[1] if self.n_known else end
                asked = queries[heads, start * group : end * group]
                scores = torch.bmm(asked, keys[heads, :n_reach].transpose(1, 2))
                unseen = self._find_unseen(keys.dtype, group)[top : top + high, :, start * group : end * group]
                scores.view(-1, n_kv_heads, *scores.shape[1:]).add_(unseen[..., :n_reach])
                piece = _output(asked, scores, values[heads, :n_reach], self.prefix, layer)
                output[heads, start * group : end * group] = piece
        return output

    def _find_unseen(self, dtype: torch.dtype, group: int) -> torch.Tensor:
        """Make the mask, (n_rows or 1, 1, width * group, n_seen): -inf where a cell is ahead of its query."""
        if self._unseen is None:
            known = torch.tensor(self.n_known or [0], device=self.device)
            places = known[:, None] + torch.arange(self._width, device=self.device)
            ahead = torch.arange(self._n_seen, device=self.device) > places.repeat_interleave(group, 1)[..., None]
            unseen = torch.zeros(ahead.shape, dtype=dtype, device=self.device).masked_fill_(ahead, float("-inf"))
            self._unseen = unseen.unsqueeze(1)
        return self._unseen if self.n_known else self._unseen.expand(len(self.lengths), -1, -1, -1)

    def _by_row(self, packed: torch.Tensor, n_kv_heads: int) -> torch.Tensor:
        """Lay packed tokens out as (n_rows * n_kv_heads, width * group, head_size), padded on the right."""
        n_rows, size = len(self.lengths), packed.shape[2]
        if self._spots is not None:
            room = packed.new_zeros((n_rows * self._width, *packed.shape[1:]))
            packed = room.index_copy_(0, self._spots, packed)
        by_row = packed.reshape(n_rows, self._width, n_kv_heads, -1, size).transpose(1, 2)
        # Contiguous, or every matrix product to come would make a copy of its own, a prefix's at each step.
        return by_row.reshape(n_rows * n_kv_heads, -1, size).contiguous()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The rows of a step that share a prefix: their numbers, or None for all rows."""

    rows: torch.Tensor | None
    prefix: Prefix | None


@dataclass(slots=True, eq=False)
class Step:
    """One new token a row: rows 0..n-1 of the store, each attending to its part's prefix and its own cells.

    ``positions`` (n_rows,) are the cells that the new tokens go to. ``mask`` (n_rows, 1, 1, n_cells) is 0 where a row
    may look, else -inf.
    """

    store: SuffixStore
    positions: torch.Tensor
    mask: torch.Tensor
    parts: Sequence[Part]
    stop: threading.Event
    _cells: torch.Tensor | None = None

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Attend to the row's prefix and to all of its own tokens (see ``Pass``)."""
        if self.stop.is_set():
            raise Stopped
        n_rows, n_kv_heads, size = key.shape
        keys, values = self.store.keys[layer], self.store.values[layer]
        if self._cells is None:
            heads = torch.arange(n_rows * n_kv_heads, device=key.device)
            self._cells = heads * self.store.n_cells + self.positions.repeat_interleave(n_kv_heads)
        keys.view(-1, size).index_copy_(0, self._cells, key.reshape(-1, size))
        values.view(-1, size).index_copy_(0, self._cells, value.reshape(-1, size))
        keys, values = keys[: n_rows * n_kv_heads], values[: n_rows * n_kv_heads]
        queries = (query * scaling).reshape(n_rows * n_kv_heads, -1, size)
        # Keys times queries and not the other way round: few rows times many columns would have the keys repacked.
        scores = torch.bmm(keys, queries.transpose(1, 2)).transpose(1, 2).contiguous()
        scores.view(n_rows, n_kv_heads, -1, self.store.n_cells).add_(self.mask)
        if len(self.parts) == 1:
            return _output(queries, scores, values, self.parts[0].prefix, layer).view(query.shape)
        output = torch.empty_like(queries)
        for part in self.parts:
            rows = part.rows
            assert rows is not None  # noqa: S101 - only a lone part leaves its rows out
            heads = (rows[:, None] * n_kv_heads + torch.arange(n_kv_heads, device=rows.device)).view(-1)
            output[heads] = _output(queries[heads], scores[heads], values[heads], part.prefix, layer)
        return output.view(query.shape)


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
    n_kv_heads, n_prefix = len(prefix.keys[layer]), prefix.n_tokens
    by_row = scores.view(-1, n_kv_heads, *scores.shape[1:])
    before = _prefix_product(queries.reshape(*by_row.shape[:3], -1), prefix.keys[layer].transpose(1, 2))
    weights = torch.softmax(torch.cat((before, by_row), -1), -1)
    own = torch.bmm(weights.view(*scores.shape[:2], -1)[..., n_prefix:], values)
    own.view(*by_row.shape[:3], -1).add_(_prefix_product(weights[..., :n_prefix], prefix.values[layer]))
    return own


def _prefix_product(rows: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
    """Multiply (n_rows, n_kv_heads, n_queries, m) by (n_kv_heads, m, k) in one product for all rows."""
    n_rows, n_kv_heads, n_queries, inner = rows.shape
    folded = rows.transpose(0, 1).reshape(n_kv_heads, -1, inner)
    return torch.bmm(folded, prefix).view(n_kv_heads, n_rows, n_queries, -1).transpose(0, 1)
