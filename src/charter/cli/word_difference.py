"""What changed between two texts, word by word. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Literal

Change = Literal["same", "removed", "added"]

_WORD_AND_SPACE = re.compile(r"\S+\s*|\s+")


def word_difference(before: str, after: str) -> Iterator[tuple[Change, str]]:
    """Tell two texts apart: what both have, what only the first has, what only the second.

    What is the same or removed joins to ``before``, what is the same or added to ``after``; a word that stands at the
    end of one text and inside the other counts as the same where only the white space behind it differs, and then
    ``after`` has its way.
    """
    first, second = _WORD_AND_SPACE.findall(before), _WORD_AND_SPACE.findall(after)
    bare = [[word.rstrip() for word in words] for words in (first, second)]
    matcher = difflib.SequenceMatcher(a=bare[0], b=bare[1], autojunk=False)
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        if kind == "equal":
            yield "same", "".join(second[other_start:other_end])
            continue
        if end > start:
            yield "removed", "".join(first[start:end])
        if other_end > other_start:
            yield "added", "".join(second[other_start:other_end])
