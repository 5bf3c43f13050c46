"""Rows with named text fields, read out of what a model answered: JSON or labelled lines, however malformed. Pure.

No answer raises: what cannot be read is counted, with a reason. What is read is verbatim: a field's text stands in the
answer as it is, or as JSON escapes it; a library that guesses what broken JSON meant is held to that too.
"""

from __future__ import annotations

import bisect
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import json_repair

FormName = Literal["json", "labelled"]

#: The reasons of rows that are missing rather than malformed.
CUT, TOO_FEW = "cut at the token limit", "fewer rows than were asked for"
_NO_ROWS: Mapping[FormName, str] = {"json": "no JSON object", "labelled": "no labelled line"}

_MAX_CHARACTERS = 100_000  # far beyond any token limit
_MAX_BROKEN = 200  # objects of one answer that are no JSON; after them nothing is looked for any more
_MAX_MENDED = 8_000  # characters of one object that is handed to the library, which needs quadratic time
_DECODER = json.JSONDecoder(strict=False)  # which takes line breaks inside of strings
# Where an object ends whose strings cannot be trusted: a brace, and then the next object, the array's end or nothing.
_OBJECT_END = re.compile(r"\}(?=\s*(?:,\s*(?:[{\]]|\Z)|[{\]]|```|\Z))")
_WRAPPER = re.compile(r"""\{\s*["']?\w*["']?\s*:\s*[\[{]""")  # around the rows, not one of them
_HALF_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class TextField:
    """One field of a row: its JSON key, its label in labelled lines, and what it holds, as the model is told."""

    name: str
    label: str
    about: str


@dataclass(frozen=True)
class AnswerRows:
    """What an answer holds: whole rows, and of the others the reason of each."""

    rows: tuple[dict[str, str], ...] = ()
    faults: tuple[str, ...] = ()


@dataclass
class _Found:
    """Rows and faults as they are found."""

    fields: Sequence[TextField]
    rows: list[dict[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def take(self, values: Mapping[str, Any]) -> None:
        """Take a row, or the reason why it is none."""
        named = {key.strip().casefold(): value for key, value in values.items() if isinstance(key, str)}
        row: dict[str, str] = {}
        for one in self.fields:
            value = named.get(one.name.casefold())
            fault = _fault(one.name, value)
            if fault is not None:
                self.faults.append(fault)
                return
            row[one.name] = str(value)
        self.rows.append(row)


def read_rows(text: str, fields: Sequence[TextField], form: FormName, *, n: int, cut: bool = False) -> AnswerRows:
    """Read the rows of an answer.

    Args:
        text: the answer.
        fields: what each row holds.
        form: how it was asked for.
        n: how many rows were asked for; what comes after them is left out.
        cut: whether the answer was cut at the token limit: its last row is kept only where it is known to be whole.

    Returns:
        The whole rows in their order, and a reason for each of the ``n`` that is missing.
    """
    found = _Found(fields)
    if len(text) <= _MAX_CHARACTERS:
        (_read_json if form == "json" else _read_labelled)(text, found, cut)
    else:
        found.faults.append("far too long")
    rows = tuple(found.rows[:n])
    n_missing = n - len(rows)
    faults = found.faults[:n_missing]
    rest = CUT if cut else TOO_FEW if rows or faults else _NO_ROWS[form]
    return AnswerRows(rows, (*faults, *[rest] * (n_missing - len(faults))))


def count_reasons(faults: Sequence[str]) -> dict[str, int]:
    """Count equal reasons, the most frequent first."""
    return dict(Counter(faults).most_common())


def _fault(name: str, value: Any) -> str | None:
    if value is None:
        return f"no {name!r}"
    if not isinstance(value, str):
        return f"{name!r} is no text"
    if not value.strip():
        return f"{name!r} is empty"
    return f"{name!r} holds half a character" if _HALF_SURROGATE.search(value) else None


def _read_json(text: str, found: _Found, cut: bool) -> None:
    """Read object after object, wherever they stand: fences, prose and brackets around them do not count."""
    ends = [ending.end() for ending in _OBJECT_END.finditer(text)]
    n_broken = 0
    at = text.find("{")
    while at >= 0 and n_broken < _MAX_BROKEN:
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            n_broken += 1
            place = bisect.bisect_left(ends, at)
            end = _read_broken(text, at, ends[place] if place < len(ends) else None, found, cut)
        else:
            for values in _objects(value, found.fields):
                found.take(values)
        at = text.find("{", end)


def _read_broken(text: str, at: int, end: int | None, found: _Found, cut: bool) -> int:
    """Read an object that is no JSON as the library mends it, and say where to read on."""
    if end is None or _WRAPPER.match(text, at):
        if text.find("{", at + 1) < 0 and not cut:
            found.faults.append("an object without an end")
        return at + 1
    span = text[at:end]
    values = _mended(span)
    if values is None or not all(_stands_in(value, span) for value in values.values() if isinstance(value, str)):
        found.faults.append("not JSON")
    else:
        found.take(values)
    return end


def _mended(span: str) -> dict[str, Any] | None:
    if len(span) > _MAX_MENDED:
        return None
    try:
        value = json_repair.loads(span)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _stands_in(value: str, span: str) -> bool:
    """Say whether a mended text is in the answer: as it is, or escaped as JSON and other languages do it."""
    written = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], value.replace("'", "\\'")}
    return any(one in span for one in written)


def _objects(value: Any, fields: Sequence[TextField]) -> Iterator[Mapping[str, Any]]:
    """Give the rows in a JSON value: objects with one of the fields, at whatever depth (a wrapper around them)."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            keys = {key.strip().casefold() for key in one}
            if any(wanted.name.casefold() in keys for wanted in fields):
                yield one
            else:
                waiting += reversed(one.values())
        elif isinstance(one, list):
            waiting += reversed(one)


def _read_labelled(text: str, found: _Found, cut: bool) -> None:
    """Read lines that begin with a label; the first label, or one that the row has already, begins a new row."""
    names = {one.label.casefold(): one.name for one in found.fields}
    first, last = found.fields[0].name, found.fields[-1].name
    marks = list(_label_pattern(found.fields).finditer(text))
    row: dict[str, str] = {}
    for mark, following in zip(marks, [*marks[1:], None], strict=False):
        name = names[mark["label"].casefold()]
        if row and (name == first or name in row):
            found.take(row)
            row = {}
        value = text[mark.end() : following.start() if following else len(text)]
        ended, parted, _ = value.partition("\n\n") if name == last else (value, "", "")
        if following is None and cut and not parted:
            return  # the text that was being written: nobody knows how it would have gone on
        row[name] = ended.strip()
    if row:
        found.take(row)


def _label_pattern(fields: Sequence[TextField]) -> re.Pattern[str]:
    labels = "|".join(re.escape(one.label) for one in sorted(fields, key=lambda one: -len(one.label)))
    # Models number, list and embolden what they were shown plain.
    return re.compile(
        rf"^[ \t]*(?:[-*#>]+[ \t]*|\d+[.)][ \t]*)?[*_]*(?P<label>{labels})[*_]*(?:[ \t]*\d+)?[ \t]*:[*_]*",
        re.IGNORECASE | re.MULTILINE | re.ASCII,  # or a dotless i would be an i here and none below
    )
