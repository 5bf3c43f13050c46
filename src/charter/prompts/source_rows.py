"""What every reader gives: one row of a source, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from charter.errors import PromptError
from charter.records.base import refuse_halves


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


def whole_text(text: str, place: str, name: str) -> str:
    """Give a row's text, which a record can hold.

    Args:
        text: as the row has it.
        place: where the row stands.
        name: of the column.

    Raises:
        PromptError: naming the place and the column, for half of a surrogate pair.
    """
    try:
        refuse_halves(text)
    except ValueError as error:
        raise PromptError(f"{place}: {name!r}: {error}") from error
    return text
