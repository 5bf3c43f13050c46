"""JSON lines, lists of objects, and objects of lists: each row with the line that it begins on.

A whole file is parsed value by value by the standard library's own scanner, so that a list of a million rows is read as
fast as ever, and every row is known by its line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charter.errors import PromptError
from charter.prompts.source_rows import SourceRow
from charter.prompts.text_files import MAX_LINE, read_text

MAX_DEPTH = 50
_ROW_KEY = re.compile(r"\d+(?:_\d+)*")  # a principle's number, or a principle's and a prompt's
_SPACE = re.compile(r"[ \t\r\n]*")
_A_LIST = "expected a list of objects; a file with one object a line ends in .jsonl"


class _TwiceError(ValueError):
    """A key that an object has twice, of which the standard library would silently keep the last."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _TwiceError(f"the key {twice!r} occurs twice in an object")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct)


def read_json_lines(path: Path) -> Iterator[SourceRow]:
    """Read one object or text a line; blank lines are none."""
    text = read_text(path)
    start, number = 0, 0
    while start < len(text):
        end = text.find("\n", start)
        line = text[start:] if end < 0 else text[start:end]
        start, number = (len(text) if end < 0 else end + 1), number + 1
        place = f"{path}:{number}"
        _check_length(len(line), place)
        if line.strip(" \t\r"):
            value = _parse(line, path, number, "expected one object a line")
            yield SourceRow(_object(_shallow(value, line, place), place), place)


def read_json(path: Path) -> Iterator[SourceRow]:
    """Read a list of objects or texts; or an object of such lists, whose keys are numbers as in ``3`` or ``3_7``."""
    text = read_text(path)
    document = _Document(path, text)
    try:
        yield from document.rows()
    except _TwiceError as error:
        raise PromptError(f"{path}:{document.line_here()}: not JSON ({error}); keep one of them") from error
    except (json.JSONDecodeError, RecursionError) as error:
        _parse(text, path, 1, _A_LIST)  # which says what and where as of any other JSON
        raise PromptError(f"{path}: not JSON ({error}); {_A_LIST}") from error


def read_json_task(path: Path, name: str) -> tuple[dict[str, Any], list[SourceRow]] | None:
    """Read an object that has its rows in a list under a name, beside other values; None where it is no such object.

    Returns:
        The other values, and the rows.
    """
    text = read_text(path)
    document = _Document(path, text)
    try:
        return document.task(name)
    except (json.JSONDecodeError, RecursionError, _TwiceError):
        return None  # who reads it as rows says what is wrong


class _Document:
    """A JSON text that is read value by value, from its beginning on."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0

    def rows(self) -> Iterator[SourceRow]:
        """Give the rows of the one value that the text is."""
        opening = self._peek()
        if opening == "[":
            yield from self._list("")
        elif opening == "{":
            yield from self._keyed()
        else:
            value = _parse(self._text, self._path, 1, _A_LIST)
            raise PromptError(f"{self._path}: expected a list of objects, found {_kind_of(value)}")
        if self._peek():
            raise json.JSONDecodeError("Extra data", self._text, self._at)

    def task(self, name: str) -> tuple[dict[str, Any], list[SourceRow]] | None:
        """Give the values of the object that the text is, and the rows of the list that it has under a name."""
        if self._peek() != "{":
            return None
        self._take("{")
        others: dict[str, Any] = {}
        rows: list[SourceRow] | None = None
        more = self._peek() != "}"
        while more:
            key = self._value()
            self._take(":")
            if key == name and self._peek() == "[":
                rows = list(self._list(""))
            else:
                others[key] = self._value()
            more = self._goes_on()
        return None if rows is None else (others, rows)

    def _keyed(self) -> Iterator[SourceRow]:
        """Read the lists of an object, which is refused where it is not one of numbered lists."""
        seen: set[str] = set()
        self._take("{")
        more = self._peek() != "}"
        while more:
            self._peek()
            place = f"{self._path}:{self.line_here()}"
            key = self._value()
            self._take(":")
            if not isinstance(key, str) or not _ROW_KEY.fullmatch(key) or self._peek() != "[":
                _parse(self._text, self._path, 1, _A_LIST)
                raise PromptError(
                    f"{place}: expected a list of objects, found an object whose key {key!r} is no number with a list; "
                    "give a list, or an object of lists by a principle's number such as {'0': [...], '1': [...]}"
                )
            if key in seen:
                raise PromptError(f"{place}: the key {key!r} occurs twice; give each list its own")
            seen.add(key)
            yield from self._list(key)
            more = self._goes_on()
        self._take("}")

    def _list(self, key: str) -> Iterator[SourceRow]:
        under = f" key {key!r}" if key else ""
        self._take("[")
        number = 0
        more = self._peek() != "]"
        while more:
            number += 1
            self._peek()
            start, place = self._at, f"{self._path}:{self.line_here()}{under} item {number}"
            value = self._value()
            _check_length(self._at - start, place)
            yield SourceRow(_object(_shallow(value, self._text, place, start, self._at), place), place, key=key)
            more = self._goes_on()
        self._take("]")

    def _goes_on(self) -> bool:
        """Pass the comma before another value, where there is one."""
        there = self._peek() == ","
        self._at += there
        return there

    def _value(self) -> Any:
        self._peek()
        value, self._at = _DECODER.raw_decode(self._text, self._at)
        return value

    def _take(self, character: str) -> None:
        if self._peek() != character:
            raise json.JSONDecodeError(f"Expecting {character!r}", self._text, self._at)
        self._at += 1

    def _peek(self) -> str:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]

    def line_here(self) -> int:
        """Count the line that is being read; of a value that could not be, the one that it begins on."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line


def _parse(text: str, path: Path, line: int, expected: str) -> Any:
    """Read JSON that begins on a line of a file; an error names the line and column in that file."""
    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except json.JSONDecodeError as error:
        place = f"{path}:{line + error.lineno - 1}"
        problem = f"{error.msg[0].lower()}{error.msg[1:].removesuffix(' at')} at column {error.colno}"
        raise PromptError(f"{place}: not JSON ({problem}); {expected}") from error
    except RecursionError as error:
        raise PromptError(f"{path}:{line}: not JSON ({_too_deep()}); {expected}") from error
    except ValueError as error:  # for keys used twice, and for numbers of thousands of digits
        raise PromptError(f"{path}:{line}: not JSON ({error}); {expected}") from error


def _too_deep() -> str:
    return f"values are nested more than {MAX_DEPTH} deep"


def _check_length(n_characters: int, place: str) -> None:
    if n_characters > MAX_LINE:
        raise PromptError(
            f"{place}: a row of {n_characters} characters, and it may have {MAX_LINE}; put each row on its own line, "
            "and cut what is longer"
        )


def _shallow(value: Any, text: str, place: str, start: int = 0, end: int | None = None) -> Any:
    """Give a value back that is nested no deeper than is allowed; counting brackets first spares most the walk."""
    if text.count("[", start, end) + text.count("{", start, end) > MAX_DEPTH:
        level = [value]
        for _ in range(MAX_DEPTH):
            level = [inner for one in level if isinstance(one, dict | list) for inner in _inside(one)]
        if any(isinstance(one, dict | list) for one in level):
            raise PromptError(f"{place}: {_too_deep()}; flatten the row")
    return value


def _inside(value: dict[str, Any] | list[Any]) -> list[Any]:
    return value if isinstance(value, list) else list(value.values())


def _kind_of(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")


def _object(value: Any, place: str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"prompt": value}
    if not isinstance(value, dict):
        raise PromptError(f"{place}: expected an object or a text, found {_kind_of(value)}")
    return value
