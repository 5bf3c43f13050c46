"""Cells of a CSV that were escaped when it was written (``files.csv_cells``), given back as they were."""

from __future__ import annotations

from collections.abc import Sequence

from charter.files.csv_cells import are_escaped, unescape_cell
from charter.prompts.source_rows import SourceRow

#: The columns of the prompts that we write as a CSV.
OWN_COLUMNS = ("id", "prompt", "category")


def unescaped(rows: Sequence[SourceRow], escaped: bool | None) -> list[SourceRow]:
    """Undo what was escaped in rows of a CSV.

    Args:
        rows: the file's.
        escaped: whether cells are escaped as ours are; None finds out: ours leave no cell that a spreadsheet would run.
    """
    if escaped is None:
        escaped = are_escaped(cell for row in rows for cell in row.values.values())
    if not escaped:
        return list(rows)
    return [
        SourceRow({name: unescape_cell(cell) for name, cell in row.values.items()}, row.place, row.header)
        for row in rows
    ]


def own_unescaped(rows: Sequence[SourceRow]) -> list[SourceRow]:
    """Undo what was escaped in prompts that have the columns of ours: in another's an apostrophe may be meant."""
    return unescaped(rows, None) if tuple(rows[0].values) == OWN_COLUMNS else list(rows)
