"""Which principle a row is of: by the position in its key, or by the requests that it holds."""

from __future__ import annotations

import re

from charter.constitution.model import Constitution, Principle
from charter.errors import PromptError
from charter.given.reading import GivenRow

_KEY = re.compile(r"(?P<principle>\d{1,9})(?:_(?P<prompt>\d{1,9}))?(?:_\d+)*")


def split_key(key: str) -> tuple[int, int | None] | None:
    """Read a key ``principle_prompt`` or ``principle`` as positions, counted from 0; None where it is neither."""
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    return int(found["principle"]), None if found["prompt"] is None else int(found["prompt"])


def key_of(row: GivenRow) -> str:
    """Give the key of a row by itself: of several under a principle's, each has its number behind it."""
    return f"{row.key}_{row.number}" if row.key.isdecimal() else row.key


def principle_of(row: GivenRow, constitution: Constitution | None, *requests: str) -> Principle | None:
    """Find the principle that a row is of; None where there is no constitution, or nothing says which.

    Args:
        row: its key begins with the principle's position in the constitution, or is the principle's id.
        constitution: the one that the file was made with.
        requests: the row's critique and revision request, for a row without a key.

    Raises:
        PromptError: for a key that fits no principle.
    """
    if constitution is None:
        return None
    if not row.key:
        return next((one for one in constitution.principles if _asks(one, requests)), None)
    if row.key in constitution.ids:
        return constitution.principle(row.key)
    positions = split_key(row.key)
    n = len(constitution.principles)
    if positions is None:
        raise PromptError(
            f"{row.place}: {row.key!r} names no principle of {constitution.name!r}; expected one of its ids, such as "
            f"{constitution.ids[0]!r}, or a position from 0 (PRINCIPLE, or PRINCIPLE_PROMPT as in '0_3')"
        )
    if positions[0] >= n:
        raise PromptError(
            f"{row.place}: the key {row.key!r} is of the principle at position {positions[0]}, and the constitution "
            f"{constitution.name!r} has {n}, from 0; give the constitution that the file was made with"
        )
    return constitution.principles[positions[0]]


def _asks(principle: Principle, requests: tuple[str, ...]) -> bool:
    return any(request and request in {principle.critique_request, principle.revision_request} for request in requests)
