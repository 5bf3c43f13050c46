"""Rows that measure something, Charter's own or a user's: each with an id, and with texts that say something."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from charter.errors import PromptError
from charter.prompts.source_rows import SourceRow, whole_text
from charter.rows import Identified

RowT = TypeVar("RowT", bound=Identified)


def read_distinct(rows: Iterable[SourceRow], read: Callable[[SourceRow], RowT]) -> list[RowT]:
    """Read every row, and see that no two have one id.

    Raises:
        PromptError: naming the row and its id.
    """
    found: dict[str, RowT] = {}
    for row in rows:
        one = read(row)
        if one.id in found:
            raise PromptError(f"{row.place}: the id {one.id!r} stands on an earlier row too; give each its own")
        found[one.id] = one
    return list(found.values())


def said_text(row: SourceRow, name: str) -> str:
    """Give a row's text, as it stands.

    Raises:
        PromptError: where it is missing, no text, or says nothing.
    """
    value = row.values.get(name)
    if not isinstance(value, str) or not value.strip():
        said = f"is {value!r}" if name in row.values else "is missing"
        raise PromptError(f"{row.place}: {name!r} {said}; expected a text that says something")
    return whole_text(value, row.place, name)
