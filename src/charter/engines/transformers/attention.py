"""Attention over a shared prefix, stored once, and each row's own suffix (cascade attention).

A forward pass is *packed*: all rows' new tokens stand in one sequence of shape (1, n_tokens), without padding, so that
the linear layers, which cost the most, do no work for nothing. Which token belongs to which row is known to the pass
object that the model hands through to the attention function registered here under ``ATTENTION``; no mask and no
cache object of the library is involved. Two kinds of pass exist:

- ``Prefill``: several new tokens a row, each row attending to the prefix and to its own earlier tokens;
- ``Step``: one new token a row, the rows having different prefixes or none.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch.nn import functional

ATTENTION = "charter_shared_prefix"
PASS = "charter_pass"  # the keyword that carries the pass object through the model's forward


class Stopped(Exception):  # noqa: N818 - reads as what happened
    """The engine is being closed: the forward pass was left in the middle."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """Keys and values of tokens that many rows begin with: per layer (n_kv_heads, n_tokens, head_size)."""

    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]
    n_tokens: int


class Pass(Protocol):
    """What one forward pass needs to know about its tokens."""

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Map queries (1, n_heads, n_tokens, head_size) to outputs (1, n_tokens, n_heads, head_size)."""
        ...


class SuffixStore:
    """Keys and values of the running rows' own tokens: per layer (n_rows, n_kv_heads, n_cells, head_size).

    Preallocated, so that a step writes its tokens in place; grown layer by layer, so that growing needs no second
    copy of the whole.
    """

    def __init__(self, n_layers: int) -> None:
        self.keys: list[torch.Tensor | None] = [None] * n_layers
        self.values: list[torch.Tensor | None] = [None] * n_layers
        self.n_rows = 0
        self.n_cells = 0

    def reserve(self, n_rows: int, n_cells: int) -> None:
        """Make room for rows of a length; what is stored is kept when a layer is next written."""
        if n_rows > self.n_rows or n_cells > self.n_cells:
            self.n_rows, self.n_cells = max(n_rows, self.n_rows), max(n_cells, self.n_cells)
            for stored in (self.keys, self.values):
                for layer, old in enumerate(stored):
                    if old is not None:
                        stored[layer] = self._grown(old)

    def release(self) -> None:
        """Give the memory back; nothing that was stored is kept."""
        self.keys = [None] * len(self.keys)
        self.values = [None] * len(self.values)
        self.n_rows = self.n_cells = 0

    def cells(self, rows: torch.Tensor, positions: torch.Tensor, n_kv_heads: int) -> torch.Tensor:
        """Number the cells of tokens (their row, their position in it), head by head: (n_tokens * n_kv_heads,)."""
        heads = torch.arange(n_kv_heads, device=rows.device)
        return ((rows[:, None] * n_kv_heads + heads) * self.n_cells + positions[:, None]).view(-1)

    def write(self, layer: int, key: torch.Tensor, value: torch.Tensor, cells: torch.Tensor) -> None:
        """Store one layer's new keys and values, (1, n_kv_heads, n_tokens, head_size), at their cells."""
        size = key.shape[-1]
        for stored, new in ((self.keys, key), (self.values, value)):
            tensor = stored[layer]
            if tensor is None:
                tensor = stored[layer] = new.new_zeros((self.n_rows, new.shape[1], self.n_cells, size))
            tensor.view(-1, size).index_copy_(0, cells, new.transpose(1, 2).reshape(-1, size))

    def move(self, source: int, target: int, n_cells: int) -> None:
        """Copy a row's first cells over another row's."""
        for stored in (self.keys, self.values):
            for tensor in stored:
                if tensor is not None:
                    tensor[target, :, :n_cells] = tensor[source, :, :n_cells]

    def _grown(self, old: torch.Tensor) -> torch.Tensor:
        grown = old.new_zeros((self.n_rows, old.shape[1], self.n_cells, old.shape[3]))
        grown[: old.shape[0], :, : old.shape[2]] = old
        return grown


@dataclass(slots=True, eq=False)
class Prefill:
    """Several new tokens a row, after a common prefix.

    ``lengths`` are the rows' numbers of new tokens. Where ``store`` is given the keys and values are written there at
    ``cells``; where ``capture`` is true they are kept in ``captured``, to become a prefix.
    """

    lengths: Sequence[int]
    prefix: Prefix | None
    stop: threading.Event
    device: torch.device
    store: SuffixStore | None = None
    cells: torch.Tensor | None = None
    capture: bool = False
    captured: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    _padded: torch.Tensor | None = None
    _mask: torch.Tensor | None = None

    def __post_init__(self) -> None:
        width = max(self.lengths)
        if min(self.lengths) < width:  # attention alone needs a rectangle: where in it each token stands
            spots = [torch.arange(length) + row * width for row, length in enumerate(self.lengths)]
            self._padded = torch.cat(spots).to(self.device)
        if self.prefix is not None:
            ones = torch.ones((width, self.prefix.n_tokens + width), dtype=torch.bool, device=self.device)
            self._mask = ones.tril(self.prefix.n_tokens)

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Attend to the prefix and causally within each row (see ``Pass``)."""
        if self.stop.is_set():
            raise Stopped
        if self.store is not None and self.cells is not None:
            self.store.write(layer, key, value, self.cells)
        if self.capture:
            self.captured.append((key[0].contiguous(), value[0].contiguous()))
        query, key, value = self._rectangle(query), self._rectangle(key), self._rectangle(value)
        if self.prefix is not None:
            key = self._behind(self.prefix.keys[layer], key)
            value = self._behind(self.prefix.values[layer], value)
        output = functional.scaled_dot_product_attention(
            query, key, value, self._mask, is_causal=self._mask is None, scale=scaling, enable_gqa=True
        )
        return self._packed(output.transpose(1, 2))

    def _rectangle(self, packed: torch.Tensor) -> torch.Tensor:
        """Lay packed tokens, (1, heads, n_tokens, size), out as (n_rows, heads, width, size), padded on the right."""
        tokens = packed.transpose(1, 2)
        n_rows, width = len(self.lengths), max(self.lengths)
        if self._padded is not None:
            room = tokens.new_zeros((n_rows * width, *tokens.shape[2:]))
            tokens = room.index_copy_(0, self._padded, tokens[0])
        return tokens.reshape(n_rows, width, *packed.shape[1::2]).transpose(1, 2)

    def _packed(self, rectangle: torch.Tensor) -> torch.Tensor:
        tokens = rectangle.reshape(1, -1, *rectangle.shape[2:])
        return tokens if self._padded is None else tokens.index_select(1, self._padded)

    def _behind(self, prefix: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        return torch.cat((prefix.expand(own.shape[0], *prefix.shape), own), 2)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The rows of a step that share a prefix: a slice (all rows) or their numbers."""

    rows: slice | torch.Tensor
    prefix: Prefix | None


@dataclass(slots=True, eq=False)
class Step:
    """One new token a row: rows 0..n-1 of the store, each attending to its part's prefix and its own cells.

    ``cells`` is where the new tokens go; ``mask`` (n_rows, 1, 1, width) is 0 where a row may look, else -inf.
    """

    store: SuffixStore
    cells: torch.Tensor
    mask: torch.Tensor
    parts: Sequence[Part]
    stop: threading.Event

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Take one softmax over the prefix's scores and the row's own (see ``Pass``)."""
        if self.stop.is_set():
            raise Stopped
        self.store.write(layer, key, value, self.cells)
        n_rows, width, n_kv_heads = self.mask.shape[0], self.mask.shape[-1], key.shape[1]
        stored_keys, stored_values = self.store.keys[layer], self.store.values[layer]
        assert stored_keys is not None  # noqa: S101 - written two lines above
        assert stored_values is not None  # noqa: S101 - as above
        own_keys, own_values = stored_keys[:n_rows, :, :width], stored_values[:n_rows, :, :width]
        # Heads that share keys are folded into one matrix, so that keys and values are never repeated.
        grouped = (query.transpose(1, 2) * scaling).view(n_rows, n_kv_heads, -1, query.shape[-1])
        scores = torch.matmul(grouped, own_keys.transpose(2, 3)) + self.mask
        if len(self.parts) == 1 and self.parts[0].prefix is None:
            output = torch.matmul(_softmax(scores), own_values)
        else:
            output = self._with_prefixes(layer, grouped, scores, own_values)
        return output.view(1, n_rows, -1, query.shape[-1])

    def _with_prefixes(
        self, layer: int, grouped: torch.Tensor, scores: torch.Tensor, own_values: torch.Tensor
    ) -> torch.Tensor:
        weights, output = torch.empty_like(scores), torch.zeros_like(grouped)
        for part in self.parts:
            if part.prefix is None:
                weights[part.rows] = _softmax(scores[part.rows])
                continue
            n_prefix = part.prefix.n_tokens
            before = _prefix_product(grouped[part.rows], part.prefix.keys[layer].transpose(1, 2))
            both = _softmax(torch.cat((before, scores[part.rows]), -1))
            weights[part.rows] = both[..., n_prefix:]
            output[part.rows] = _prefix_product(both[..., :n_prefix], part.prefix.values[layer])
        return output + torch.matmul(weights, own_values)


def _prefix_product(rows: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
    """Multiply (n_rows, n_kv_heads, group, m) by (n_kv_heads, m, k) in one product for all rows."""
    n_rows, n_kv_heads, group, _ = rows.shape
    folded = rows.transpose(0, 1).reshape(n_kv_heads, n_rows * group, -1)
    return torch.bmm(folded, prefix).view(n_kv_heads, n_rows, group, -1).transpose(0, 1)


def _softmax(scores: torch.Tensor) -> torch.Tensor:
    return torch.softmax(scores, -1, dtype=torch.float32).to(scores.dtype)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **carried: Any,
) -> tuple[torch.Tensor, None]:
    """Answer the model's attention call by the pass object it carries (the library's attention interface)."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return carried[PASS].attend(module.layer_idx, query, key, value, scale), None


def register() -> None:
    """Make the attention known to the library under its name; calling twice does nothing more."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, attend)
