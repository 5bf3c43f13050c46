"""What was computed and may be needed again: shared prefixes, and rows that have ended.

Rows are set aside for requests that begin with what they hold: a row's revision request begins with its critique
request and the critique itself, and a judge's answer is read behind the reasoning that it drew. The tokens that the
first call left in the cache need not be computed for the second.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from charter.engines.transformers.store import KeptRow, Prefix

MIN_KNOWN = 32  # tokens; copying fewer costs as much as computing them

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    key: bytes
    ids: Ids
    row: KeptRow


class PrefixMemory:
    """The prefixes that were used last, up to a number of tokens, and those that rows still begin with.

    Args:
        make: computes a prefix from its tokens.
        max_tokens: of all prefixes together; the last one is kept whatever its length.
    """

    def __init__(self, make: Callable[[Ids], Prefix], max_tokens: int) -> None:
        self._make, self._max_tokens = make, max_tokens
        self._prefixes: OrderedDict[bytes, Prefix] = OrderedDict()
        self._in_use: WeakValueDictionary[bytes, Prefix] = WeakValueDictionary()

    def get(self, key: bytes, ids: Ids) -> tuple[Prefix, bool]:
        """Give a prefix, computing it where it is not remembered; whether it was."""
        known = self._in_use.get(key)
        self._prefixes[key] = self._in_use[key] = known or self._make(ids)
        self._prefixes.move_to_end(key)
        while len(self._prefixes) > 1 and sum(one.n_tokens for one in self._prefixes.values()) > self._max_tokens:
            self._prefixes.popitem(last=False)
        return self._prefixes[key], known is not None


class RowMemory:
    """The rows that were set aside last, up to a number of tokens.

    Args:
        max_tokens: of all rows together; 0 keeps nothing.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._n_tokens = 0
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._by_key: dict[bytes, list[_Entry]] = {}

    def wants(self, n_tokens: int) -> bool:
        """Whether a row of a length is worth being set aside."""
        return MIN_KNOWN < n_tokens <= self._max_tokens

    def add(self, prefix_key: bytes, ids: Ids, row: KeptRow) -> None:
        """Set a row aside: its prefix, its own tokens, and their keys and values."""
        entry = _Entry(_key(prefix_key, ids), ids, row)
        self._entries[id(entry)] = entry
        self._by_key.setdefault(entry.key, []).append(entry)
        self._n_tokens += len(ids)
        while self._n_tokens > self._max_tokens:
            self._drop(next(iter(self._entries.values())))

    def find(self, prefix_key: bytes, ids: Ids) -> tuple[KeptRow | None, int]:
        """Find the row that shares the most first tokens with a request's own, and how many; never all of them."""
        if len(ids) <= MIN_KNOWN:
            return None, 0
        known = {id(entry): _n_common(entry.ids, ids[:-1]) for entry in self._by_key.get(_key(prefix_key, ids), [])}
        if not known:
            return None, 0
        best = max(known, key=known.__getitem__)
        self._entries.move_to_end(best)
        return self._entries[best].row, known[best]

    def _drop(self, entry: _Entry) -> None:
        del self._entries[id(entry)]
        alike = self._by_key[entry.key]
        alike.remove(entry)
        if not alike:
            del self._by_key[entry.key]
        self._n_tokens -= len(entry.ids)


def _key(prefix_key: bytes, ids: Ids) -> bytes:
    return prefix_key + ids[:MIN_KNOWN].tobytes()


def _n_common(first: Ids, second: Ids) -> int:
    n = min(len(first), len(second))
    differing = np.flatnonzero(first[:n] != second[:n])
    return int(differing[0]) if len(differing) else n
