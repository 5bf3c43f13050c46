"""What every record is: frozen, strict, text that any file can hold, JSON there and back."""

from __future__ import annotations

import json
import re
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
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and not text.isascii() and (half := _HALF_SURROGATE.search(text)):
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
