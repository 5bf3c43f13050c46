"""A plot of models by two ratings: helpfulness against harmlessness, as in CAI Figure 2, in files for any viewer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from charter.files.tables import write_whole
from charter.reporting.svg import legible
from charter.statistics import Interval

_SIZE = 5.2, 4.4  # inches
_DOTS = 160  # per inch, of the PNG
_COLOURS = ("#555555", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_METADATA: Mapping[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {"Software": None}}


@dataclass(frozen=True)
class RatedModel:
    """A model and its two ratings, in Elo points above the same anchor."""

    name: str
    helpfulness: Interval
    harmlessness: Interval


def draw_ratings(paths: Sequence[Path], models: Sequence[RatedModel], *, anchor: str, judge: str) -> None:
    """Draw a point a model with both intervals, once for each path (``.svg`` or ``.png``); the anchor is at 0, 0.

    Args:
        paths: of the files.
        models: of which each has both ratings.
        anchor: the model that the others are measured from.
        judge: who preferred.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", {"svg.hashsalt": "ratings", "text.parse_math": False}]):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color="0.85", linewidth=1, zorder=0)
        axes.axvline(0, color="0.85", linewidth=1, zorder=0)
        for place, one in enumerate(models):
            axes.errorbar(
                one.helpfulness.value,
                one.harmlessness.value,
                xerr=_reach(one.helpfulness),
                yerr=_reach(one.harmlessness),
                fmt="o",
                color=_COLOURS[place % len(_COLOURS)],
                ecolor=_COLOURS[place % len(_COLOURS)],
                elinewidth=1,
                capsize=3,
                label=legible(one.name),
            )
        axes.set(
            xlabel=f"helpfulness, points above {legible(anchor)}",
            ylabel=f"harmlessness, points above {legible(anchor)}",
            title=f"Bradley-Terry, 95 % intervals, judge {legible(judge)}",
        )
        axes.title.set_fontsize(9)
        axes.legend(fontsize=8)
        for path in paths:
            kind = path.suffix.removeprefix(".")
            write_whole(path, partial(figure.savefig, format=kind, dpi=_DOTS, metadata=_METADATA[kind]))


def _reach(found: Interval) -> list[list[float]] | None:
    """Give how far an interval reaches below and above its value."""
    if found.low is None or found.high is None:
        return None
    return [[found.value - found.low], [found.high - found.value]]
