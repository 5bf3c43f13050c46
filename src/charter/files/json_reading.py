"""JSON with line numbers: the standard parser tells where a value is only when the JSON itself is broken.

Strings and numbers are read by the standard library's own scanner, so that text is the same as ``json.loads`` gives.
"""

from __future__ import annotations

import bisect
import re
from json import JSONDecodeError, decoder
from typing import Any, NoReturn

_SCAN_STRING: Any = vars(decoder)["scanstring"]  # public in the standard library, missing from its type stubs
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]{0,299}))(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None}

JsonPath = tuple[str | int, ...]


class JsonError(ValueError):
    """Why a text is not JSON that we read, and the line, counted from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def parse_json(text: str, *, max_depth: int) -> tuple[Any, dict[JsonPath, int]]:
    """Parse JSON into plain values, and the line of each by its path (keys and list positions from the top).

    Raises:
        JsonError: for anything but strict JSON, for a key used twice, and for nesting deeper than ``max_depth``.
    """
    parser = _Parser(text, max_depth)
    return parser.document(), parser.lines


class _Parser:
    def __init__(self, text: str, max_depth: int) -> None:
        self.lines: dict[JsonPath, int] = {}
        self._text = text
        self._at = 0
        self._max_depth = max_depth
        self._breaks = [match.start() for match in re.finditer("\n", text)]

    def document(self) -> Any:
        if not self._text.strip(" \t\n\r"):
            return None
        data = self._value(())
        if self._peek():
            self._fail(f"{self._shown()} follows the end of the JSON value; remove it")
        return data

    def _value(self, path: JsonPath) -> Any:
        character = self._peek()
        self.lines.setdefault(path, self._line(self._at))
        if character == '"':
            return self._string()
        if character not in ("{", "["):
            return self._word_or_number()
        if len(path) >= self._max_depth:
            self._fail(f"values are nested more than {self._max_depth} deep; flatten the file")
        self._at += 1
        return self._object(path) if character == "{" else self._array(path)

    def _object(self, path: JsonPath) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        if self._peek() == "}":
            self._at += 1
            return entries
        while True:
            if self._peek() != '"':
                self._fail(
                    f"expected a key in double quotes, found {self._shown()}; JSON allows no comma after the last entry"
                )
            line = self._line(self._at)
            key = self._string()
            if key in entries:
                first = self.lines[*path, key]
                raise JsonError(line, f'key "{key}" is used twice (first on line {first}); keep one of them')
            self.lines[*path, key] = line
            self._expect(":")
            entries[key] = self._value((*path, key))
            if self._expect(",", "}") == "}":
                return entries

    def _array(self, path: JsonPath) -> list[Any]:
        items: list[Any] = []
        if self._peek() == "]":
            self._at += 1
            return items
        while True:
            items.append(self._value((*path, len(items))))
            if self._expect(",", "]") == "]":
                return items

    def _string(self) -> str:
        try:
            value, self._at = _SCAN_STRING(self._text, self._at + 1, True)  # noqa: FBT003 - positional in the library
        except JSONDecodeError as problem:
            raise JsonError(problem.lineno, f"this is not valid JSON ({problem.msg}); check the quotes") from problem
        if any("\ud800" <= character <= "\udfff" for character in value):
            self._fail("half of a surrogate pair is no character; write the character itself")
        return str(value)

    def _word_or_number(self) -> Any:
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        number = _NUMBER.match(self._text, self._at)
        if number is None:
            self._fail(f"expected a value, found {self._shown()}; text goes in double quotes")
        self._at = number.end()
        whole, fraction, exponent = number.groups()
        return float(number.group()) if fraction or exponent else int(whole)

    def _expect(self, *characters: str) -> str:
        found = self._peek()
        if found not in characters:
            wanted = " or ".join(f'"{character}"' for character in characters)
            self._fail(f"expected {wanted}, found {self._shown()}; check the commas, colons and brackets")
        self._at += 1
        return found

    def _peek(self) -> str:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]

    def _shown(self) -> str:
        rest = self._text[self._at : self._at + 20].split("\n", 1)[0]
        return f"'{rest}'" if rest else "the end of the file"

    def _line(self, position: int) -> int:
        return bisect.bisect_left(self._breaks, position) + 1

    def _fail(self, message: str) -> NoReturn:
        raise JsonError(self._line(self._at), message)
