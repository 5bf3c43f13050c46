"""What goes into exported files: JSON lines, JSON, CSV and Parquet, each a function that writes a path."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from charter.files.csv_cells import escape_cell

Content = Callable[[Path], object]
Column = Literal["text", "number", "messages"]


def json_lines(rows: Iterable[Mapping[str, Any]]) -> Content:
    """Write one object a line."""
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    return _text("".join(f"{line}\n" for line in lines))


def json_document(value: Any) -> Content:
    """Write one JSON value, readable by people."""
    return _text(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2) + "\n")


def csv_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, raw: bool) -> Content:
    r"""Write a CSV with every cell in quotes, newlines as they are, and lines that end in ``\r\n`` (RFC 4180).

    Cells that a spreadsheet would run are escaped (see ``files.csv_cells``), unless it is to be ``raw``.
    """
    cells = [list(header), *([cell if raw else escape_cell(cell) for cell in row] for row in rows)]

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows(cells)

    return write


def parquet(columns: Mapping[str, Column], rows: Sequence[Mapping[str, Any]]) -> Content:
    """Write a Parquet file; its bytes depend on the rows alone."""

    def write(path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        message = pa.struct([("content", pa.string()), ("role", pa.string())])
        types = {"text": pa.string(), "number": pa.int64(), "messages": pa.list_(message)}
        schema = pa.schema([(name, types[column]) for name, column in columns.items()])
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema), path, compression="zstd")

    return write


def _text(text: str) -> Content:
    data = text.encode("utf-8")
    return lambda path: path.write_bytes(data)
