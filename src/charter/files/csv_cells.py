"""Cells of a CSV that a spreadsheet would run as a formula: escaped, and back.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab, a carriage return or a null for a formula
(OWASP, "CSV Injection", and ASVS 5.0, 1.2.10), also where it is quoted. An apostrophe before it makes it text. One is
added to cells that begin with apostrophes and then such a character too, so that taking one away again gives what was
there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# The wide forms of the signs are run by spreadsheets in some languages.
_DANGEROUS = r"[=+\-@\t\r\x00\uff1d\uff0b\uff0d\uff20]"
_BARE = re.compile(_DANGEROUS)
_TO_ESCAPE = re.compile(rf"'*{_DANGEROUS}")
_ESCAPED = re.compile(rf"'+{_DANGEROUS}")


def escape_cell(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run; see ``unescape_cell``."""
    return f"'{text}" if _TO_ESCAPE.match(text) else text


def unescape_cell(text: str) -> str:
    """Give the text that ``escape_cell`` escaped."""
    return text[1:] if _ESCAPED.match(text) else text


def are_escaped(cells: Iterable[str]) -> bool:
    """Tell whether cells can be ours: none begins with what ``escape_cell`` would have escaped."""
    return not any(_BARE.match(cell) for cell in cells)
