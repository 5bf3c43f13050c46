"""What changed between two texts, word by word. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Literal

Change = Literal["same", "removed", "added"]

_WORD_OR_SPACE = re.compile(r"\S+|\s+")


def word_difference(before: str, after: str) -> Iterator[tuple[Change, str]]:
    """Tell two texts apart: what both have, what only the first has, what only the second.

    What is the same or removed is ``before``, what is the same or added is ``after``, to the character. White space
    alone between two changes does not part them.
    """
    first, second = _WORD_OR_SPACE.findall(before), _WORD_OR_SPACE.findall(after)
    removed, added = "", ""
    for kind, start, end, other_start, other_end in difflib.SequenceMatcher(
        a=first, b=second, autojunk=False
    ).get_opcodes():
        old, new = "".join(first[start:end]), "".join(second[other_start:other_end])
        if kind == "equal" and not (old.isspace() and (removed or added)):
            yield from _changed(removed, added)
            yield "same", old
            removed, added = "", ""
        else:
            removed, added = removed + old, added + new
    yield from _changed(removed, added)


def _changed(removed: str, added: str) -> Iterator[tuple[Change, str]]:
    if removed:
        yield "removed", removed
    if added:
        yield "added", added
