"""Where sentences of a text end, and ending one that was cut at the token limit after its last whole one."""

from __future__ import annotations

import re

# A full stop that belongs to a number ("1. Boil", "3.5") or an initial ("J. Smith") ends no sentence.
_SENTENCE_END = re.compile(r"(?<![0-9A-Z])[.!?][\"'\u201d\u2019)\]*]*(?=\s|$)")
_MIN_SHARE = 0.3


def trim_to_sentence(text: str) -> str:
    """End a text after its last whole sentence.

    Returns:
        The beginning of the text, or nothing where no sentence ends in it, or so early that little is left: less than
        three tenths.
    """
    text = text.rstrip()
    ends = sentence_ends(text)
    if not ends or ends[-1] < _MIN_SHARE * len(text):
        return ""
    return text[: ends[-1]]


def sentence_ends(text: str) -> list[int]:
    """Find the positions behind which a text could end after a whole sentence, in order."""
    return [match.end() for match in _SENTENCE_END.finditer(text)]
