"""Forward passes over rows that come and go: what the scheduler asks of a model.

Two decoders answer one protocol. ``SharedPrefixDecoder`` serves models whose attention is the plain causal one, with
prefixes computed once and rows joining at any time. ``WaveDecoder`` (module ``waves``) serves every other model.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from charter.engines.transformers.attention import Part, Pass, Prefill, Step
from charter.engines.transformers.body import Body, Head
from charter.engines.transformers.store import CacheShape, KeptRow, Prefix, SuffixStore

LOGITS_AT_ONCE = 128  # positions whose logits exist at once when texts are scored: 128 x 49k in float32 is 25 MB
Ids = npt.NDArray[np.int64]
Targets = Sequence[Sequence[int]]
Logits = Iterator[torch.Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A row's own tokens, the first ``n_known`` of which lie in a row that was set aside."""

    ids: Ids
    known: KeptRow | None = None
    n_known: int = 0


class Decoder(Protocol):
    """Runs a model on a changing set of rows, numbered from 0 without holes.

    ``shares``: prefixes are worth computing. ``joins``: rows may start while others run. ``pads``: rows of different
    lengths may start together. ``token_bytes``: what the keys and values of a row's token take at most; 0 where that is
    not known, or nothing is kept.
    """

    token_bytes: int
    shares: bool
    joins: bool
    pads: bool

    @property
    def n_held(self) -> int:
        """Tokens that the running rows have room for in memory."""
        ...

    def make_prefix(self, ids: Ids) -> Prefix:
        """Compute the keys and values of tokens that many rows begin with."""
        ...

    def start(self, arrivals: Sequence[Arrival], prefix: Prefix | None) -> torch.Tensor:
        """Add rows after those that run; logits of each one's next token, (n_started, n_tokens)."""
        ...

    def step(self, tokens: Ids) -> torch.Tensor:
        """Append one token to each row; logits of the next, (n_rows, n_tokens)."""
        ...

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Drop all rows but these; the old number of each row that now runs, in its new order."""
        ...

    def set_aside(self, row: int) -> tuple[KeptRow, int]:
        """Copy what is stored of a row's own tokens, and say how many tokens that are."""
        ...

    def read(self, arrivals: Sequence[Arrival], targets: Sequence[Targets], prefix: Prefix | None) -> Logits:
        """Yield the logits at each row's last positions, row after row, a chunk of positions at a time.

        A row's targets are the tokens that are wanted at each of these positions: (n_positions, n_tokens) in float32.
        """
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

    def __init__(self, body: Body, head: Head, shape: CacheShape, stop: threading.Event) -> None:
        self._body, self._head, self._shape, self._stop = body, head, shape, stop
        self._device = shape.device
        self.token_bytes = shape.token_bytes
        self._store = SuffixStore(shape)
        self._prefixes: list[Prefix | None] = []  # of each row
        self._lengths = np.zeros(0, dtype=np.int64)  # of each row's suffix
        self._parts: list[Part] = []

    @property
    def n_held(self) -> int:
        """Tokens that the running rows have room for in memory."""
        return self._store.n_rows * self._store.n_cells

    def make_prefix(self, ids: Ids) -> Prefix:
        """Compute the keys and values of tokens that many rows begin with."""
        prefill = Prefill([len(ids)], None, self._stop, self._device, capture=True)
        self._forward(prefill, ids, np.arange(len(ids)))
        keys, values = zip(*prefill.captured, strict=True)
        return Prefix(keys, values, len(ids))

    def start(self, arrivals: Sequence[Arrival], prefix: Prefix | None) -> torch.Tensor:
        """Add rows after those that run; logits of each one's next token, (n_started, n_tokens)."""
        hidden, n_new = self._prefill(arrivals, prefix, store=True)
        self._lengths = np.concatenate((self._lengths, [len(arrival.ids) for arrival in arrivals]))
        self._prefixes += [prefix] * len(arrivals)
        self._find_parts()
        return self._logits(hidden, n_new.cumsum() - 1)

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

    def set_aside(self, row: int) -> tuple[KeptRow, int]:
        """Copy what is stored of a row's own tokens, and say how many tokens that are."""
        n_tokens = int(self._lengths[row])
        return self._store.copy(row, n_tokens), n_tokens

    def read(self, arrivals: Sequence[Arrival], targets: Sequence[Targets], prefix: Prefix | None) -> Logits:
        """Yield the logits at each row's last positions, row after row, a chunk of positions at a time."""
        known = any(arrival.n_known for arrival in arrivals)
        hidden, n_new = self._prefill(arrivals, prefix, store=known)
        ends = n_new.cumsum()
        wanted = np.concatenate([np.arange(end - len(of), end) for end, of in zip(ends, targets, strict=True)])
        tokens = [those for of in targets for those in of]
        for first in range(0, len(wanted), LOGITS_AT_ONCE):
            chunk = slice(first, first + LOGITS_AT_ONCE)
            yield self._head.read(self._at(hidden, wanted[chunk]), tokens[chunk])

    def _prefill(self, arrivals: Sequence[Arrival], prefix: Prefix | None, *, store: bool) -> tuple[torch.Tensor, Ids]:
        """Run the arrivals' new tokens; their hidden states, packed, and how many each row has.

        With ``store``, keys and values go to the store behind the running rows, where known ones are put first.
        """
        n_known = np.array([arrival.n_known for arrival in arrivals])
        n_new = np.array([len(arrival.ids) for arrival in arrivals]) - n_known
        prefill = Prefill(n_new.tolist(), prefix, self._stop, self._device)
        if store:
            prefill.store, prefill.first_row = self._store, len(self._lengths)
            prefill.n_known = n_known.tolist() if n_known.any() else ()
            longest = max(int(self._lengths.max(initial=0)), int((n_known + n_new).max()))
            self._store.fit(prefill.first_row + len(arrivals), longest + 1)
            for row, arrival in enumerate(arrivals, prefill.first_row):
                if arrival.known is not None:
                    self._store.put(row, arrival.known, arrival.n_known)
        offset = 0 if prefix is None else prefix.n_tokens
        tokens = np.concatenate([arrival.ids[arrival.n_known :] for arrival in arrivals])
        return self._forward(prefill, tokens, _counted(n_new) + np.repeat(n_known, n_new) + offset), n_new

    def _forward(self, one_pass: Pass, tokens: Ids, positions: Ids) -> torch.Tensor:
        """Run the model's body on packed tokens; hidden states, (n_tokens, hidden_size)."""
        return self._body(self._tensor(tokens), self._tensor(positions), one_pass)

    def _logits(self, hidden: torch.Tensor, positions: Ids) -> torch.Tensor:
        return self._head(self._at(hidden, positions))

    def _at(self, hidden: torch.Tensor, positions: Ids) -> torch.Tensor:
        return hidden.index_select(0, self._tensor(positions))

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
