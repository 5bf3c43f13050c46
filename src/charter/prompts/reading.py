"""Readers of rows: CSV, TSV, JSON lines, JSON, Parquet, Hugging Face datasets; each row with the place it came from."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from charter.errors import PromptError
from charter.files.hub_ids import is_dataset_id

_MAX_CELL = 10_000_000  # characters; Python's csv stops at 131,072 by default
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_NAMED_SEPARATOR = re.compile(r"sep=([,;\t])(?:\r\n|\r|\n|\Z)")  # the first line by which a file tells Excel
_FIRST_ROWS = 50  # that are looked at to tell what separates cells


@dataclass(frozen=True)
class SourceRow:
    """One row as the file has it, where it stands (``file:line``, or ``file row N``), and where its columns are named.

    ``header`` is empty where each row names its own.
    """

    values: dict[str, Any]
    place: str
    header: str = ""


def read_rows(source: str, *, split: str | None = None) -> list[SourceRow]:
    """Read every row of a file, a ``save_to_disk`` folder or a Hugging Face dataset id.

    Raises:
        PromptError: naming the file, the line and what is wrong, or that there is no row.
    """
    rows = list(_rows(source, split))
    if not rows:
        raise PromptError(f"{source}: it holds no rows; give at least one")
    return rows


def _rows(source: str, split: str | None) -> Iterator[SourceRow]:
    path = Path(source)
    if path.is_dir():
        return _dataset_folder(path, split)
    reader = _READERS.get(path.suffix.lower())
    if path.exists():
        if reader is None:
            raise PromptError(f"{path}: unknown kind of file {path.suffix!r}; known: {', '.join(sorted(_READERS))}")
        return reader(path)
    if is_dataset_id(source):
        return _hub_dataset(source, split)
    raise PromptError(
        f"{source}: no such file. Expected a CSV, TSV, JSON-lines, JSON or Parquet file, a saved dataset's folder, a "
        "Hugging Face dataset id (owner/name), or 'built-in'."
    )


def _text(path: Path) -> str:
    raw = b""
    try:
        raw = path.read_bytes()
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise PromptError(
            f"{path}:{line}: the byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error
    except OSError as error:
        raise PromptError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error


def _csv(path: Path) -> Iterator[SourceRow]:
    text = _text(path)
    named = _NAMED_SEPARATOR.match(text)
    if named is None:
        return _separated(path, text, _find_separator(text))
    return _separated(path, text[named.end() :], named[1], first_line=2)


def _tsv(path: Path) -> Iterator[SourceRow]:
    """Read cells in quotes as a CSV's, and where that fails as they stand: many writers of TSV know no quotes."""
    text = _text(path)
    try:
        return iter(list(_separated(path, text, "\t")))
    except PromptError as problem:
        try:
            return iter(list(_separated(path, text, "\t", quoting=csv.QUOTE_NONE)))
        except PromptError:
            raise problem from None


def _find_separator(text: str) -> str:
    """Tell what separates cells: by what most of the first rows are as wide as the header, a comma among equals."""
    csv.field_size_limit(_MAX_CELL)
    return max(_SEPARATORS, key=lambda separator: _count_agreeing(text, separator))


def _count_agreeing(text: str, separator: str) -> int:
    """Count the first rows that are as wide as the header; -1 where that has one cell."""
    rows = filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    widths: list[int] = []
    with suppress(csv.Error):  # which the reading itself tells with its line
        widths.extend(len(cells) for cells in islice(rows, _FIRST_ROWS))
    return widths[1:].count(widths[0]) if widths and widths[0] > 1 else -1


def _separated(
    path: Path, text: str, separator: str, *, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL, first_line: int = 1
) -> Iterator[SourceRow]:
    csv.field_size_limit(_MAX_CELL)
    # Python's csv ends a row at whatever ends a piece of its input: only CR and LF may, no other line separator.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, quoting=quoting)
    line = first_line
    header: list[str] | None = None
    header_place = ""
    try:
        for cells in reader:
            if header is None and cells:
                header, header_place = _header(cells, f"{path}:{line}"), f"{path}:{line}"
            elif header is not None and cells:
                if len(cells) != len(header):
                    raise PromptError(
                        f"{path}:{line}: {len(cells)} cells where the header has {len(header)}; check the "
                        f"{_SEPARATORS[separator]}, and put quotes around cells that hold one"
                    )
                yield SourceRow(dict(zip(header, cells, strict=True)), f"{path}:{line}", header_place)
            line = reader.line_num + first_line
    except csv.Error as error:
        form = path.suffix[1:].upper()
        raise PromptError(
            f"{path}:{line}: not {form} ({error}); check the quotes of the row that begins here"
        ) from error


def _header(cells: list[str], place: str) -> list[str]:
    twice = [name for name, n in Counter(cells).items() if n > 1]
    if twice:
        raise PromptError(f"{place}: the column name {twice[0]!r} occurs twice; give each column its own name")
    return cells


def _json_lines(path: Path) -> Iterator[SourceRow]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            place = f"{path}:{number}"
            yield SourceRow(_object(_parse(line, path, number, "expected one object a line"), place), place)


def _json(path: Path) -> Iterator[SourceRow]:
    data = _parse(_text(path), path, 1, "expected a list of objects; a file with one object a line ends in .jsonl")
    if not isinstance(data, list):
        raise PromptError(f"{path}: expected a list of objects, found {_kind_of(data)}")
    for number, value in enumerate(data, start=1):
        yield SourceRow(_object(value, f"{path} item {number}"), f"{path} item {number}")


def _parse(text: str, path: Path, line: int, expected: str) -> Any:
    """Read JSON that begins on a line of a file; an error names the line and column in that file."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{path}:{line + error.lineno - 1}"
        problem = f"{error.msg[0].lower()}{error.msg[1:]} at column {error.colno}"
        raise PromptError(f"{place}: not JSON ({problem}); {expected}") from error
    except (ValueError, RecursionError) as error:  # for numbers of thousands of digits, and brackets without end
        raise PromptError(f"{path}:{line}: not JSON ({error}); {expected}") from error


def _kind_of(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")


def _object(value: Any, place: str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"prompt": value}
    if not isinstance(value, dict):
        raise PromptError(f"{place}: expected an object or a text, found {_kind_of(value)}")
    return value


def _parquet(path: Path) -> Iterator[SourceRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise PromptError(f"{path}: not a Parquet file ({error}); check how it was written") from error
    for number, values in enumerate(table.to_pylist(), start=1):
        yield SourceRow(values, f"{path} row {number}", str(path))


def _dataset_folder(path: Path, split: str | None) -> Iterator[SourceRow]:
    import datasets

    try:
        loaded = datasets.load_from_disk(str(path))
    except IndexError:  # what datasets makes of a saved dataset without rows
        return
    except (FileNotFoundError, ValueError, OSError) as error:
        raise PromptError(
            f"{path}: not a folder that datasets' save_to_disk wrote ({error}); name a file in it, or save it anew"
        ) from error
    if split is not None and not hasattr(loaded, "keys"):
        raise PromptError(f"{path}: is one dataset without splits; leave out 'split' ({split!r})")
    yield from _dataset(loaded, str(path), split)


def _hub_dataset(name: str, split: str | None) -> Iterator[SourceRow]:
    import datasets

    try:
        loaded = datasets.load_dataset(name, split=split)
    except (OSError, ValueError, RuntimeError) as error:
        raise PromptError(
            f"{name}: neither a file here nor a dataset that the Hugging Face Hub gave ({error}). Check the name, the "
            "network, and HF_TOKEN for a private one."
        ) from error
    yield from _dataset(loaded, name, split)


def _dataset(loaded: Any, name: str, split: str | None) -> Iterator[SourceRow]:
    if hasattr(loaded, "keys"):
        if split is None and len(loaded) > 1:
            raise PromptError(f"{name}: has the splits {', '.join(loaded)}; choose one with 'split'")
        chosen = split or next(iter(loaded))
        if chosen not in loaded:
            raise PromptError(f"{name}: has no split {chosen!r}, only {', '.join(loaded)}")
        loaded = loaded[chosen]
    for number, values in enumerate(loaded, start=1):
        yield SourceRow(dict(values), f"{name} row {number}", name)


_READERS = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".parquet": _parquet,
}
