"""What every record is: frozen, strict, text that any file can hold, JSON there and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, field_validator

from charter.seeds import canonical_json

_HALF_SURROGATE = re.compile("[\ud800-\udfff]")


class Record(BaseModel):
    """A frozen row; unknown fields, and text that no file can hold, are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _text_is_whole(cls, value: Any) -> Any:
        # Nearly every value is a text, and every turn of every row comes through here.
        for text in (value,) if isinstance(value, str) else _texts(value):
            if not text.isascii() and (half := _HALF_SURROGATE.search(text)):
                raise ValueError(
                    f"the text holds half of a surrogate pair (U+{ord(half.group()):04X}), which no file can hold; "
                    "write the character itself"
                )
        return value

    def to_json(self) -> str:
        """Write the record as canonical JSON."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a record that ``to_json`` wrote."""
        return cls.model_validate(json.loads(text))


def _texts(value: Any) -> Iterator[str]:
    """Give every text in a JSON value, its keys too; records in it have looked at their own."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
