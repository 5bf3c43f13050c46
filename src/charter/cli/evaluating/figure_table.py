"""Measurements as a table that people read: a line a figure and model, with interval, change, p-value and n."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from charter.cli import console
from charter.cli.results import plain, size_cell

_HEADER = ("model", "value", "95 % interval", "change", "95 % interval", "p", "n")


def write_figures(
    measurements: Iterable[Mapping[str, Any]],
    *,
    heading: str = "figure",
    name: Callable[[Mapping[str, Any]], str] | None = None,
) -> None:
    """Print measurements.

    Args:
        measurements: as plain values, with the change from the base where there is one.
        heading: over what names them.
        name: of a measurement; None takes its title.
    """
    from charter.reporting import wording

    rows = [
        (wording.title(one["name"]) if name is None else name(one), one["model"], *_cells(one)) for one in measurements
    ]
    console.write_columns((heading, *_HEADER), rows, right=(2, 3, 4, 5, 6, 7))


def _cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    from charter.reporting import wording

    unit, n = one["unit"], size_cell(one["n"], one["n_groups"])
    value = (plain(wording.value(one["value"], unit)), plain(wording.interval(one["low"], one["high"], unit)))
    if one["difference"] is None:
        return (*value, "", "", "", n)
    return (
        *value,
        plain(wording.change(one["difference"], unit)),
        plain(wording.change_interval(one["difference_low"], one["difference_high"], unit)),
        wording.p_value(one["p_value"]),
        n,
    )
