"""A figure drawn: a panel beside the other, lines over numbers or marks over names, every point with its interval."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from charter.files.tables import write_whole
from charter.reporting.svg import legible
from charter.reproduction.figure import Made, Panel, Point

_WIDTH, _HEIGHT = 4.6, 3.8  # inches, of a panel
_DOTS = 160  # per inch, of the PNG
_LETTERS = 40  # of a label, as many as a panel is high
_APART = 0.08  # of a place: so far series stand beside each other, that intervals do not hide one another
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
_METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {"Software": None}}


def draw(paths: Sequence[Path], title: str, made: Made) -> None:
    """Draw a figure, once for each path (``.svg`` or ``.png``); the same bytes every time."""
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", {"svg.hashsalt": title, "text.parse_math": False}]):
        size = _WIDTH * max(1, len(made.panels)), _HEIGHT
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle(legible_line(title), fontsize=11)
        if not made.panels:
            figure.text(0.5, 0.5, "nothing could be measured", ha="center")
        for axes, panel in zip(_axes(figure, len(made.panels)), made.panels, strict=True):
            _panel(axes, panel, [one for one in made.points if one.panel == panel.name])
        for path in paths:
            kind = path.suffix.removeprefix(".")
            write_whole(path, partial(figure.savefig, format=kind, dpi=_DOTS, metadata=_METADATA[kind]))


def _axes(figure: Any, n: int) -> list[Any]:
    return list(figure.subplots(1, n, squeeze=False)[0]) if n else []


def legible_line(text: str) -> str:
    """Keep the printable characters of a text."""
    return "".join(character if character.isprintable() else " " for character in text)


def _panel(axes: Any, panel: Panel, points: Sequence[Point]) -> None:
    if panel.level is not None:
        axes.axhline(panel.level[0], color="0.6", linewidth=1, linestyle="--", label=panel.level[1], zorder=0)
    if panel.diagonal:
        axes.plot((0, 1), (0, 1), color="0.6", linewidth=1, linestyle="--", label="calibrated", zorder=0)
    names = list(dict.fromkeys(one.series for one in points))
    for place, name in enumerate(names):
        aside = (place - (len(names) - 1) / 2) * _APART if panel.places else 0.0
        own = [one for one in points if one.series == name]
        _series(axes, panel, name, own, aside=aside, colour=_COLOURS[place % len(_COLOURS)])
    axes.set(xlabel=textwrap.fill(panel.x, _LETTERS), ylabel=textwrap.fill(panel.y, _LETTERS))
    if panel.places:
        axes.set_xticks(range(len(panel.places)), [legible(one) for one in panel.places])
        axes.set_xlim(-0.5, len(panel.places) - 0.5)
    elif all(one.x.is_integer() for one in points):
        axes.xaxis.get_major_locator().set_params(integer=True)
    if panel.is_share:
        axes.set_ylim(-0.02, 1.02)
    if len(names) > 1 or panel.level is not None or panel.diagonal:
        axes.legend(fontsize=8)


def _series(axes: Any, panel: Panel, name: str, points: Sequence[Point], *, aside: float, colour: str) -> None:
    ordered = sorted(points, key=lambda one: one.x)
    axes.errorbar(
        [one.x + aside for one in ordered],
        [one.value for one in ordered],
        yerr=[
            [0.0 if one.low is None else max(0.0, one.value - one.low) for one in ordered],
            [0.0 if one.high is None else max(0.0, one.high - one.value) for one in ordered],
        ],
        fmt="o" if panel.places else "o-",
        color=colour,
        elinewidth=1,
        capsize=3,
        label=legible(name),
    )
