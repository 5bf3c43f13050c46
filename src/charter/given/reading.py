"""Rows as files have them, each with its place and the key that it stands under, and the splits of a folder of tables.

What the columns mean is for ``traces`` and ``pairs``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import PromptError
from charter.prompts.escaped_cells import unescaped
from charter.prompts.reading import SourceRow, read_rows
from charter.prompts.table_folders import evaluation_split, split_files, split_named, splits_named
from charter.prompts.text_files import file_kind


@dataclass(frozen=True)
class GivenRow:
    """One row: its values, where it stands, the key that it stands under, and its number there, from 0."""

    values: Mapping[str, Any]
    place: str
    key: str = ""
    number: int = 0


@dataclass(frozen=True)
class GivenFile:
    """A file's rows, and the split that its name or the caller says that they are."""

    source: str
    rows: tuple[GivenRow, ...]
    split: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that any row has, in the order of their first appearance."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.values))


def read_file(source: str | Path, *, split: str | None = None, escaped: bool | None = None) -> GivenFile:
    """Read every row of a file, a folder of Parquet files, a saved dataset or a Hugging Face dataset id.

    Args:
        source: where the rows are.
        split: of a dataset.
        escaped: whether cells of a CSV are escaped as ours are (see ``files.csv_cells``); None finds out: ours leave no
            cell that a spreadsheet would run.

    Raises:
        PromptError: naming the file, the line and what is wrong, or that there is no row.
    """
    path = Path(source)
    if path.is_file():
        rows = read_rows(str(path))
        if file_kind(path) == ".csv":
            rows = unescaped(rows, escaped)
        return GivenFile(str(source), tuple(_numbered(rows)), split or split_named(path))
    _require_one_side(source, split)
    splits = list(split_files(path)) if split is None and path.is_dir() else []
    rows = read_rows(str(source), split=split)
    return GivenFile(str(source), tuple(_numbered(rows)), split or (splits[0] if splits else ""))


def _require_one_side(source: str | Path, split: str | None) -> None:
    """Require that splits that are joined are all to be trained on, or all held out.

    Raises:
        PromptError: where they are not.
    """
    sides = {evaluation_split(name) for name in splits_named(split or "")}
    if len(sides) > 1:
        raise PromptError(
            f"{source}: 'split' is {split!r}, of which some are trained on and some held out, by their names; take one "
            "kind of them"
        )


def _numbered(rows: Sequence[SourceRow]) -> Iterator[GivenRow]:
    under: Counter[str] = Counter()
    for row in rows:
        yield GivenRow(row.values, row.place, row.key, under[row.key])
        under[row.key] += 1
