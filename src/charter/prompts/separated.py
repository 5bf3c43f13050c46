"""CSV and TSV files: what separates their cells, and their rows with the line that each begins on."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Literal

from charter.errors import PromptError
from charter.prompts.source_rows import SourceRow
from charter.prompts.text_files import MAX_LINE, file_kind, read_text

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_NAMED_SEPARATOR = re.compile(r"sep=([,;\t])(?:\r\n|\r|\n|\Z)")  # the first line by which a file tells Excel
_FIRST_ROWS = 50  # that are looked at to tell what separates cells


def read_csv(path: Path) -> Iterator[SourceRow]:
    """Read the rows of a CSV, whatever separates its cells."""
    text = read_text(path)
    named = _NAMED_SEPARATOR.match(text)
    if named is None:
        return _separated(path, text, _find_separator(text))
    return _separated(path, text[named.end() :], named[1], first_line=2)


def read_tsv(path: Path) -> Iterator[SourceRow]:
    """Read cells in quotes as a CSV's, and where that fails as they stand: many writers of TSV know no quotes."""
    text = read_text(path)
    try:
        return iter(list(_separated(path, text, "\t")))
    except PromptError as problem:
        try:
            return iter(list(_separated(path, text, "\t", quoting=csv.QUOTE_NONE)))
        except PromptError:
            raise problem from None


def _find_separator(text: str) -> str:
    """Tell what separates cells: by what most of the first rows are as wide as the header, a comma among equals."""
    csv.field_size_limit(MAX_LINE)  # Python's csv stops at 131,072 by default
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
    csv.field_size_limit(MAX_LINE)
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
        form = file_kind(path)[1:].upper()
        raise PromptError(
            f"{path}:{line}: not {form} ({error}); check the quotes of the row that begins here"
        ) from error


def _header(cells: list[str], place: str) -> list[str]:
    twice = [name for name, n in Counter(cells).items() if n > 1]
    if twice:
        raise PromptError(f"{place}: the column name {twice[0]!r} occurs twice; give each column its own name")
    return cells
