from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.files.csv_cells import are_escaped, escape_cell, unescape_cell

STARTS = st.sampled_from(["", "=", "+", "-", "@", "\t", "\r", "\n", "'", "''=", "'@", "\uff1d", " =", '"='])


@given(STARTS, st.text(max_size=10))
def test_escaping_is_undone(start: str, rest: str) -> None:
    """Whatever a cell begins with, it comes back."""
    assert unescape_cell(escape_cell(start + rest)) == start + rest


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\x00", "\uff0b"])
def test_dangerous_cells_begin_with_an_apostrophe(start: str) -> None:
    """No escaped cell begins with what a spreadsheet runs, and only those cells change."""
    assert escape_cell(f"{start}1") == f"'{start}1"
    assert escape_cell(f"x{start}") == f"x{start}"
    assert are_escaped([escape_cell(f"{start}1"), "x"])
    assert not are_escaped(["x", f"{start}1"])
