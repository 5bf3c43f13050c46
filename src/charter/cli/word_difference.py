"""What changed between two texts, word by word. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Literal

Change = Literal["same", "removed", "added"]

_WORD_OR_SPACE = re.compile(r"\S+|\s+")
_MAX_COMPARISONS = 8_000_000  # some 1,400 words against as many: the matcher's time grows with the product


def word_difference(before: str, after: str) -> Iterator[tuple[Change, str]]:
    """Tell two texts apart: what both have, what only the first has, what only the second.

    What is the same or removed is ``before``, what is the same or added is ``after``, to the character. White space
    alone between two changes does not part them. Of very long texts only what both begin and end with is the same.
    """
    first, second = _WORD_OR_SPACE.findall(before), _WORD_OR_SPACE.findall(after)
    removed, added = "", ""
    for kind, start, end, other_start, other_end in _operations(first, second):
        old, new = "".join(first[start:end]), "".join(second[other_start:other_end])
        if kind == "equal" and not (old.isspace() and (removed or added)):
            yield from _changed(removed, added)
            yield "same", old
            removed, added = "", ""
        else:
            removed, added = removed + old, added + new
    yield from _changed(removed, added)


def _operations(first: Sequence[str], second: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    if len(first) * len(second) <= _MAX_COMPARISONS:
        return difflib.SequenceMatcher(a=first, b=second, autojunk=False).get_opcodes()
    shorter = min(len(first), len(second))
    head = next((place for place in range(shorter) if first[place] != second[place]), shorter)
    tail = next((n for n in range(shorter - head) if first[-1 - n] != second[-1 - n]), shorter - head)
    end, other_end = len(first) - tail, len(second) - tail
    operations = [
        ("equal", 0, head, 0, head),
        ("replace", head, end, head, other_end),
        ("equal", end, len(first), other_end, len(second)),
    ]
    return [one for one in operations if one[1] < one[2] or one[3] < one[4]]


def _changed(removed: str, added: str) -> Iterator[tuple[Change, str]]:
    if removed:
        yield "removed", removed
    if added:
        yield "added", added
