"""Forward passes over rows that come and go: what the scheduler asks of a model.

Two decoders answer one protocol. ``SharedPrefixDecoder`` serves models whose attention is the plain causal one, with
prefixes computed once and rows joining at any time. ``WaveDecoder`` (module ``waves``) serves every other model.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from charter.engines.transformers.attention import CacheShape, Part, Pass, Prefill, Prefix, Step, SuffixStore
from charter.engines.transformers.body import Body, Linear

LOGITS_AT_ONCE = 128  # positions whose logits exist at once when texts are scored: 128 x 49k in float32 is 25 MB
Ids = npt.NDArray[np.int64]


class Decoder(Protocol):
    """Runs a model on a changing set of rows, numbered from 0 without holes.

    ``shares``: prefixes are worth computing. ``joins``: rows may start while others run. ``pads``: rows of different
    lengths may start together.
    """

    shares: bool
    joins: bool
    pads: bool

    def make_prefix(self, ids: Ids) -> Prefix:
        """Compute the keys and values of tokens that many rows begin with."""
        ...

    def start(self, suffixes: Sequence[Ids], prefix: Prefix | None) -> torch.Tensor:
        """Add rows after those that run; logits of each one's next token, (n_started, n_tokens)."""
        ...

    def step(self, tokens: Ids) -> torch.Tensor:
        """Append one token to each row; logits of the next, (n_rows, n_tokens)."""
        ...

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Drop all rows but these; the old number of each row that now runs, in its new order."""
        ...

    def read(self, suffixes: Sequence[Ids], n_last: Sequence[int], prefix: Prefix | None) -> Iterator[torch.Tensor]:
        """Yield the logits at each row's last positions, row after row, a chunk of positions at a time."""
        ...


class SharedPrefixDecoder:
    """Prefixes stored once, rows that join and leave, no padding (see ``attention``).

    Args:
        body: from tokens to hidden states.
        head: from hidden states to logits.
        shape: of the model's keys and values.
        stop: set when a forward pass is to be left in the middle.
    """

    shares = joins = pads = True

    def __init__(self, body: Body, head: Linear, shape: CacheShape, stop: threading.Event) -> None:
        self._body, self._head, self._shape, self._stop = body, head, shape, stop
        self._device = shape.device
        self._store = SuffixStore(shape)
        self._prefixes: list[Prefix | None] = []  # of each row
        self._lengths = np.zeros(0, dtype=np.int64)  # of each row's suffix
        self._parts: list[Part] = []

    def make_prefix(self, ids: Ids) -> Prefix:
        """Compute the keys and values of tokens that many rows begin with."""
        prefill = Prefill([len(ids)], None, self._stop, self._device, capture=True)
        self._forward(prefill, ids, np.arange(len(ids)))
        keys, values = zip(*prefill.captured, strict=True)
        return Prefix(keys, values, len(ids))

    def start(self, suffixes: Sequence[Ids], prefix: Prefix | None) -> torch.Tensor:
        """Add rows after those that run; logits of each one's next token, (n_started, n_tokens)."""
        lengths = np.array([len(suffix) for suffix in suffixes])
        n_before, n_rows = len(self._lengths), len(self._lengths) + len(suffixes)
        self._store.fit(n_rows, max(int(self._lengths.max(initial=0)), int(lengths.max())) + 1)
        prefill = Prefill(lengths.tolist(), prefix, self._stop, self._device, self._store, n_before)
        hidden = self._suffixes(prefill, suffixes)
        self._lengths = np.concatenate((self._lengths, lengths))
        self._prefixes += [prefix] * len(suffixes)
        self._find_parts()
        return self._logits(hidden, lengths.cumsum() - 1)

    def step(self, tokens: Ids) -> torch.Tensor:
        """Append one token to each row; logits of the next, (n_rows, n_tokens)."""
        n_rows = len(tokens)
        self._store.fit(n_rows, int(self._lengths.max()) + 1)
        lengths = self._tensor(self._lengths)
        mask = torch.zeros((n_rows, 1, 1, self._store.n_cells), dtype=self._shape.dtype, device=self._device)
        unwritten = torch.arange(self._store.n_cells, device=self._device) > lengths[:, None]
        mask.masked_fill_(unwritten[:, None, None, :], float("-inf"))
        offsets = np.array([0 if prefix is None else prefix.n_tokens for prefix in self._prefixes])
        step = Step(self._store, lengths, mask, self._parts, self._stop)
        hidden = self._forward(step, tokens, self._lengths + offsets)
        self._lengths = self._lengths + 1
        return self._head(hidden)

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Drop all rows but these, moving the last rows into the holes; the old number of each row."""
        order = list(range(len(rows)))
        kept = set(rows)
        movable = [row for row in sorted(kept, reverse=True) if row >= len(rows)]
        for hole in (row for row in range(len(rows)) if row not in kept):
            order[hole] = movable.pop()
            self._store.move(order[hole], hole)
        self._lengths = self._lengths[order]
        self._prefixes = [self._prefixes[row] for row in order]
        self._find_parts()
        if not order:
            self._store.release()
        return order

    def read(self, suffixes: Sequence[Ids], n_last: Sequence[int], prefix: Prefix | None) -> Iterator[torch.Tensor]:
        """Yield the logits at each row's last positions, row after row, a chunk of positions at a time."""
        lengths = [len(suffix) for suffix in suffixes]
        hidden = self._suffixes(Prefill(lengths, prefix, self._stop, self._device), suffixes)
        ends = np.cumsum(lengths)
        wanted = np.concatenate([np.arange(end - n, end) for end, n in zip(ends, n_last, strict=True)])
        for first in range(0, len(wanted), LOGITS_AT_ONCE):
            yield self._logits(hidden, wanted[first : first + LOGITS_AT_ONCE])

    def _suffixes(self, prefill: Prefill, suffixes: Sequence[Ids]) -> torch.Tensor:
        offset = 0 if prefill.prefix is None else prefill.prefix.n_tokens
        lengths = np.array([len(suffix) for suffix in suffixes])
        return self._forward(prefill, np.concatenate(suffixes), _counted(lengths) + offset)

    def _forward(self, one_pass: Pass, tokens: Ids, positions: Ids) -> torch.Tensor:
        """Run the model's body on packed tokens; hidden states, (n_tokens, hidden_size)."""
        return self._body(self._tensor(tokens), self._tensor(positions), one_pass)

    def _logits(self, hidden: torch.Tensor, positions: Ids) -> torch.Tensor:
        return self._head(hidden.index_select(0, self._tensor(positions)))

    def _tensor(self, array: Ids) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)

    def _find_parts(self) -> None:
        """Gather the rows of each prefix; one prefix for all costs no copies."""
        distinct = list({id(prefix): prefix for prefix in self._prefixes}.values())
        if len(distinct) == 1:
            self._parts = [Part(None, distinct[0])]
            return
        self._parts = []
        for prefix in distinct:
            rows = [row for row, own in enumerate(self._prefixes) if own is prefix]
            self._parts.append(Part(self._tensor(np.array(rows)), prefix))


def _counted(lengths: Ids) -> Ids:
    """Count from 0 within each row of packed tokens."""
    return np.concatenate([np.arange(length) for length in lengths])
