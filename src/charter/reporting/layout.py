"""Sections and tables as the page lays them out: wide they are tables, on a phone each row becomes a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from charter.reporting import wording
from charter.reporting.markup import Markup, element, join
from charter.statistics import Interval


@dataclass(frozen=True)
class Column:
    """A column's heading, and whether its cells are figures."""

    title: str
    numeric: bool = False


def section(name: str, title: str, *content: object) -> Markup:
    """Build a section with its heading; ``name`` is its anchor."""
    heading = f"{name}-heading"
    return element("section", element("h2", title, id=heading), *content, id=name, aria_labelledby=heading)


def table(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> Markup:
    """Build a table whose first column heads its rows; cells know their column's title for the narrow layout."""
    head = element("tr", [element("th", c.title, scope="col", class_="number" if c.numeric else None) for c in columns])
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            [
                element("td", cell, class_="number" if column.numeric else None, data_label=column.title)
                for column, cell in zip(columns[1:], row[1:], strict=True)
            ],
        )
        for row in rows
    ]
    return element("table", element("thead", head), element("tbody", body))


def rate(bound: Interval) -> Markup:
    """Show a rate with its interval and n under it."""
    span = wording.tied(wording.span(bound.low, bound.high, "rate", bound.n, bound.n_groups))
    return join(wording.value(bound.value, "rate"), element("span", span, class_="under"))


def free_value(value: Any) -> object:
    """Show a JSON value of any shape: numbers as they are, mappings as lists of terms, rows as a table."""
    if isinstance(value, dict):
        return element("dl", [[element("dt", key), element("dd", free_value(each))] for key, each in value.items()])
    if isinstance(value, list):
        return _free_list(value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return wording.count(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _free_list(values: list[Any]) -> Markup:
    if not values or not all(isinstance(row, dict) and row for row in values):
        return element("ul", [element("li", free_value(each)) for each in values])
    names = list(dict.fromkeys(name for row in values for name in row))
    rows = [[free_value(row.get(name)) for name in names] for row in values]
    return table([Column(names[0]), *(Column(name, numeric=True) for name in names[1:])], rows)
