"""What every record is: frozen, strict, text that any file can hold, JSON there and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, field_validator

from charter.seeds import canonical_json

_HALF_SURROGATE = re.compile("[\ud800-\udfff]")


#: Nothing changes them: records are frozen, and a copy gets a set of its own.
_FIELD_SETS: dict[frozenset[str], set[str]] = {}


class Record(BaseModel):
    """A frozen row; unknown fields, and text that no file can hold, are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _text_is_whole(cls, value: Any) -> Any:
        # Every field of every row comes through here, and a request has a hundred turns: records have looked at theirs.
        if isinstance(value, str):
            refuse_halves(value)
        elif isinstance(value, tuple | list | dict) and value and not isinstance(next(iter(value)), Record):
            for text in _texts(value):
                refuse_halves(text)
        return value

    def model_post_init(self, context: Any, /) -> None:  # noqa: ARG002 - pydantic's
        """Share the set of the names that were given, which alone is as large as a short row, with records alike."""
        given = self.__pydantic_fields_set__
        object.__setattr__(self, "__pydantic_fields_set__", _FIELD_SETS.setdefault(frozenset(given), given))

    def to_json(self) -> str:
        """Write the record as canonical JSON."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a record that ``to_json`` wrote."""
        return cls.model_validate(json.loads(text))


class FlatRow(Record):
    """A record whose fields are the columns of its table row."""

    def to_row(self) -> dict[str, Any]:
        """Give a table row."""
        return self.model_dump()

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Read a row that ``to_row`` wrote."""
        return cls.model_validate(row)


def refuse_halves(text: str) -> None:
    """Refuse a text that no file can hold.

    Raises:
        ValueError: for half of a surrogate pair, which JSON can write and UTF-8 cannot.
    """
    if not text.isascii() and (half := _HALF_SURROGATE.search(text)):
        raise ValueError(
            f"the text holds half of a surrogate pair (U+{ord(half.group()):04X}), which no file can hold; "
            "write the character itself"
        )


def _texts(value: Any) -> Iterator[str]:
    """Give every text in a JSON value, its keys too; records in it have looked at their own."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, tuple | list):
            waiting.extend(one)
        elif isinstance(one, dict):
            waiting.extend((*one, *one.values()))
