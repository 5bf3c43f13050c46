"""Which of the known names a mistyped one probably means."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, options: Iterable[str]) -> str:
    """Find the option that a mistyped word is near; empty where none is."""
    return next(iter(difflib.get_close_matches(word, list(options), n=1)), "")


def hint(word: str, options: Iterable[str]) -> str:
    """Say which option a mistyped word is near: ``; did you mean "x"?``, or nothing where none is."""
    near = nearest(word, options)
    return f'; did you mean "{near}"?' if near else ""
