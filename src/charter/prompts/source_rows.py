"""What every reader gives: one row of a source, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SourceRow:
    """One row as the file has it, where it stands (``file:line``, or ``file row N``), and where its columns are named.

    ``header`` is empty where each row names its own. ``key`` is the name under which a JSON object lists the row, empty
    for a row of a plain list. ``reason`` says why a layout found no prompt in the row.
    """

    values: dict[str, Any]
    place: str
    header: str = ""
    key: str = ""
    reason: str = ""
