"""The hash of a request in its canonical form, where what many requests begin with is gone through once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from charter.records import Message
from charter.seeds import canonical_text

# By what stands before the messages, and how many of them are shared: the shared messages, and a hash that has read
# the former and the latter.
_BEGUN: dict[tuple[str, int], tuple[tuple[Message, ...], hashlib._Hash]] = {}
_MAX_BEGUN = 64  # engines, kinds of requests and layouts of a run are few; a score's continuation stands before too


def hash_messages(before: str, messages: tuple[Message, ...], after: str, *, n_shared: int) -> str:
    """Hash ``before[messages]after``, the messages in canonical JSON.

    Args:
        before: the request's canonical form up to its messages.
        messages: the turns.
        after: its canonical form after them.
        n_shared: how many of the first messages many requests have in common; no part of the hash.

    Returns:
        the sha256 as 64 hexadecimal digits.
    """
    shared = messages[:n_shared]
    hashed = _begin(before, shared)
    own = _write(messages[n_shared:])
    comma = "," if shared and own else ""
    hashed.update(f"{comma}{own}]{after}".encode())
    return hashed.hexdigest()


def _begin(before: str, shared: tuple[Message, ...]) -> hashlib._Hash:
    place = before, len(shared)
    begun = _BEGUN.get(place)
    if begun is None or begun[0] != shared:
        begun = shared, hashlib.sha256(f"{before}[{_write(shared)}".encode())
        if len(_BEGUN) >= _MAX_BEGUN:
            _BEGUN.clear()
    # Those of the last request: the next one's are the same objects, as a rule, and need not be read to be compared.
    _BEGUN[place] = shared, begun[1]
    return begun[1].copy()


def _write(messages: Sequence[Message]) -> str:
    return ",".join(
        [f'{{"content":{canonical_text(turn.content)},"role":{canonical_text(turn.role)}}}' for turn in messages]
    )
