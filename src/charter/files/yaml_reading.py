"""YAML and JSON files that people write, read as plain values with the line of every one of them.

YAML allows more than a file from outside should be able to do. Aliases (a few hundred bytes that unfold to gigabytes),
tags, duplicate keys, deep nesting and very large files are refused, each with the line and the remedy. Plain scalars
follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema): ``no``, ``12:30`` and ``2026-01-31``
are text, ``2e-4`` is a number. Files that end in ``.json`` are read as JSON, under the same limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from charter.errors import UserError
from charter.files.json_reading import JsonError, parse_json

MAX_BYTES = 5_000_000
MAX_DEPTH = 50

ValuePath = tuple[str | int, ...]

# The C parser is some forty times faster; an installation built without libyaml gives the same events from Python.
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_NULL = re.compile(r"(?:null|Null|NULL|~|)")
_BOOL = re.compile(r"(?:true|True|TRUE|(false|False|FALSE))")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN = re.compile(r"\.(?:nan|NaN|NAN)")
_MAX_DIGITS = 300

_ARGUMENT = "argument"


@dataclass(frozen=True)
class YamlDocument:
    """A file's values, and where each of them stands.

    ``data`` holds dict, list, str, int, float, bool and None; keys are always text. ``lines`` maps the path of every
    value (keys and list positions from the top) to its line, counted from 1.
    """

    source: str
    data: Any
    lines: Mapping[ValuePath, int]

    def line_of(self, path: ValuePath) -> int:
        """Find the line of a value; of the nearest value around it where there is none at ``path``."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return self.lines.get((), 1)

    def where(self, path: ValuePath) -> str:
        """Write a value's place as ``file:line``."""
        return f"{self.source}:{self.line_of(path)}"


def read_yaml(path: str | Path, *, error: type[UserError] = UserError) -> YamlDocument:
    """Read a YAML file, or a JSON file if its name ends in ``.json``.

    Args:
        path: the file; UTF-8, a byte order mark is accepted.
        error: the exception to raise, so that a recipe's faults are recipe errors.

    Raises:
        UserError: (or ``error``) for a file that is missing, unreadable, too large, not UTF-8, or not plain YAML.
    """
    return parse_yaml(read_text(path, error=error), str(path), error=error)


def read_text(path: str | Path, *, error: type[UserError] = UserError) -> str:
    """Read a file's text as it stands, under the limits of ``read_yaml``.

    Raises:
        UserError: (or ``error``) for a file that is missing, unreadable, too large or not UTF-8.
    """
    source = str(path)
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)  # a device or pipe has no size to ask for
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise error(f"{source}: cannot be read ({reason}); check the path and its permissions") from problem
    if len(raw) > MAX_BYTES:
        raise error(f"{source}: the file is larger than {MAX_BYTES // 1_000_000} MB; split it or shorten it")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        byte = raw[problem.start]
        raise error(f"{source}:{line}: byte 0x{byte:02x} is not UTF-8; save the file as UTF-8") from problem


def parse_argument(text: str, source: str, *, error: type[UserError] = UserError) -> Any:
    """Read a value that was typed in a shell: errors name ``source`` without a line, and think of shell quotes."""
    try:
        return parse_yaml(text, _ARGUMENT, error=error).data
    except error as problem:
        said = re.sub(rf"^{_ARGUMENT}(:\d+)?", source, str(problem))
        if isinstance(problem.__cause__, yaml.YAMLError):
            what = getattr(problem.__cause__, "problem", None) or str(problem.__cause__)
            said = (
                f"{source}: {text!r} is no whole YAML value ({what}); where it holds spaces or braces, put quotes "
                "around all of KEY=VALUE, since a shell splits at spaces"
            )
        raise error(said) from problem


def parse_yaml(text: str, source: str, *, error: type[UserError] = UserError) -> YamlDocument:
    """Parse text as ``read_yaml`` does; ``source`` names it in errors, and means JSON where it ends in ``.json``."""
    if source.lower().endswith(".json"):
        try:
            data, lines = parse_json(text, max_depth=MAX_DEPTH)
        except JsonError as problem:
            raise error(f"{source}:{problem.line}: {problem}") from problem
        return YamlDocument(source, data, lines)
    if bad := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        raise error(
            f"{source}:{line}: the character U+{ord(bad.group()):04X} cannot stand in YAML; "
            "remove it, or write it as an escape inside double quotes"
        )
    composer = _Composer(source, error)
    try:
        data = composer.document(yaml.parse(text, Loader=_PARSER))
    except yaml.YAMLError as problem:
        raise error(_syntax_message(problem, text, source)) from problem
    return YamlDocument(source, data, composer.lines)


def plain_scalar(text: str) -> Any:
    """Give an unquoted scalar its value under YAML 1.2's core schema; text where nothing else matches.

    Raises:
        ValueError: for an integer of more than 300 digits, which is no setting and costs time to read.
    """
    if _NULL.fullmatch(text):
        return None
    if boolean := _BOOL.fullmatch(text):
        return boolean.group(1) is None
    if _INT.fullmatch(text) or _OCTAL_OR_HEX.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            raise ValueError(f"a number of {len(text)} digits")
        return int(text, 0) if _OCTAL_OR_HEX.fullmatch(text) else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if infinite := _INFINITE.fullmatch(text):
        return float(f"{infinite.group(1)}inf")
    return float("nan") if _NAN.fullmatch(text) else text


class _Composer:
    """Builds plain values from a parser's events, and refuses what must not be in a file from outside.

    It reads events, not PyYAML's nodes, so that an alias bomb or a thousand brackets stop at the first forbidden one.
    """

    def __init__(self, source: str, error: type[UserError]) -> None:
        self.lines: dict[ValuePath, int] = {}
        self._source = source
        self._error = error

    def document(self, events: Iterator[Event]) -> Any:
        """Read the one document of a stream; None where it is empty."""
        next(events)  # the start of the stream
        if isinstance(next(events), StreamEndEvent):
            return None
        data = self._value(next(events), events, ())
        next(events)  # the end of the document
        following = next(events)
        if isinstance(following, DocumentStartEvent):
            self._fail(following, 'a second document starts here; keep one document a file (remove the "---")')
        return data

    def _value(self, event: Event, events: Iterator[Event], path: ValuePath) -> Any:
        self._refuse(event)
        self.lines.setdefault(path, _line(event))
        if isinstance(event, ScalarEvent):
            return self._scalar(event)
        if len(path) >= MAX_DEPTH:
            self._fail(event, f"values are nested more than {MAX_DEPTH} deep; flatten the file")
        if isinstance(event, SequenceStartEvent):
            return self._sequence(events, path)
        return self._mapping(events, path)

    def _sequence(self, events: Iterator[Event], path: ValuePath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(events), SequenceEndEvent):
            items.append(self._value(event, events, (*path, len(items))))
        return items

    def _mapping(self, events: Iterator[Event], path: ValuePath) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            key = self._key(event)
            if key in entries:
                first = self.lines[*path, key]
                self._fail(event, f'key "{key}" is used twice (first on line {first}); keep one of them')
            self.lines[*path, key] = _line(event)
            entries[key] = self._value(next(events), events, (*path, key))
        return entries

    def _key(self, event: Event) -> str:
        self._refuse(event)
        key = self._scalar(event) if isinstance(event, ScalarEvent) else event
        if not isinstance(key, str):
            shown = f'"{event.value}"' if isinstance(event, ScalarEvent) else "a list or mapping"
            self._fail(event, f"{shown} is used as a key, and a key must be text; put it in quotes")
        return key

    def _scalar(self, event: ScalarEvent) -> Any:
        if not event.implicit[0]:  # quoted or a block: text as it stands
            if any("\ud800" <= character <= "\udfff" for character in event.value):
                self._fail(event, "half of a surrogate pair is no character; write the character itself")
            return event.value
        try:
            return plain_scalar(event.value)
        except ValueError as problem:
            self._fail(event, f"{problem} is too long to read; put it in quotes if it is text")

    def _refuse(self, event: Event) -> None:
        if isinstance(event, AliasEvent):
            self._fail(event, f'the alias "*{event.anchor}" is not allowed; write the value out')
        if not isinstance(event, ScalarEvent | SequenceStartEvent | MappingStartEvent):
            return
        if event.anchor is not None:
            self._fail(
                event, f'the anchor "&{event.anchor}" is not allowed; remove it, and quote text that starts with "&"'
            )
        if event.tag is not None:
            self._fail(event, f'the tag "{event.tag}" is not allowed; remove it, and quote text that starts with "!"')

    def _fail(self, event: Event, message: str) -> NoReturn:
        raise self._error(f"{self._source}:{_line(event)}: {message}")


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _syntax_message(problem: yaml.YAMLError, text: str, source: str) -> str:
    mark = getattr(problem, "problem_mark", None) or getattr(problem, "context_mark", None)
    where = f"{source}:{mark.line + 1}" if mark else source
    what = getattr(problem, "problem", None) or str(problem)
    lines = text.splitlines()
    start = lines[mark.line][: mark.column + 1] if mark and mark.line < len(lines) else ""
    if "\t" in start:
        remedy = "indent with spaces, not tabs"
    elif "mapping values" in what:
        remedy = 'put quotes around text that contains ": ", or check the indentation'
    elif start.endswith(("@", "`", "%")):
        remedy = f'put quotes around text that starts with "{start[-1]}"'
    else:
        remedy = "check this line and the one before: indentation, quotes, brackets, colons"
    return f"{where}: this is not valid YAML ({what}); {remedy}"
