"""The page of formats is whole: every layout that is read or written has its row there, and its page."""

from __future__ import annotations

import re

import pytest

from charter.constitution.formats import LAYOUTS, NATIVE, WRITABLE
from charter.prompts.layouts import LAYOUTS as PROMPT_LAYOUTS
from charter.publishing.export import LAYOUTS as EXPORTS
from pages import DOCS, code_in, read, sections, table_rows

FORMATS = DOCS / "formats"
OTHERS = sorted(path.name for path in FORMATS.glob("*.md") if path.name != "index.md")


def told(heading: str) -> dict[str, list[str]]:
    """Read the rows of a section's table by the name in their first cell."""
    return {code_in(cells[0])[0]: cells for cells in table_rows(sections("formats/index.md")[heading])}


def test_every_layout_of_a_constitution_is_told() -> None:
    """Each is in the table, and whether it can be written is what the table says."""
    rows = told("Constitutions")
    assert list(rows) == [NATIVE, *(layout.name for layout in LAYOUTS)]
    assert {name for name, cells in rows.items() if cells[3]} == set(WRITABLE)


def test_every_layout_of_prompts_is_told_in_its_order() -> None:
    """The order of the table is that in which layouts are tried."""
    assert list(told("Prompts")) == list(PROMPT_LAYOUTS)


def test_every_layout_of_exports_is_told_with_what_it_holds() -> None:
    """Each has its row, with a mark for each kind of rows that it holds."""
    kinds = ("prompts", "traces", "sft", "preferences")
    rows = told("Written from a run")
    assert list(rows) == list(EXPORTS)
    marked = {
        name: {kind for kind, mark in zip(kinds, cells[1:5], strict=True) if mark} for name, cells in rows.items()
    }
    assert marked == {name: set(parts) for name, parts in EXPORTS.items()}


@pytest.mark.parametrize("page", OTHERS)
def test_every_page_is_reached_and_says_what_to_do(page: str) -> None:
    """The first table leads to each page, and each has a command that reads, one that uses, and a file to look at."""
    text = read(FORMATS / page)
    first = read(FORMATS / "index.md").split("## All layouts")[0]
    assert f"({page})" in first
    assert re.search(r'^```\w+ title="\w+\.\w+"', text, re.MULTILINE)
    assert re.search(r"charter (?:prompts read|constitution check|check) ", text)
    assert "charter run " in text
