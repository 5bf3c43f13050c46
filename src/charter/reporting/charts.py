"""What the figures share: the value that a section shows, the palette's use, and small marks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from charter.reporting.svg import COLOUR, legible
from charter.statistics import rate_interval

#: The responses of one bar: the id of each one's prompt, and its class.
Classed = Sequence[tuple[str, str]]

RESPONSE_CLASSES = ("objection", "bare_refusal", "evasive", "compliance")
CLASS_COLOUR = {"objection": "blue", "bare_refusal": "grey", "evasive": "purple", "compliance": "vermilion"}
_OTHER_COLOUR = "green"
_SERIES = ("blue", "vermilion", "green", "purple", "orange", "sky")
_LABEL_FROM_SHARE = 0.075  # a narrower segment has no room for its figure


@dataclass(frozen=True)
class Chart:
    """A figure of the report; ``svg`` is empty where there is nothing to draw, and ``caption`` then says why."""

    name: str
    title: str
    caption: str
    svg: str = ""


def model_colour(model: str, models: Sequence[str]) -> str:
    """Give a model its colour: grey for the first (base), then the palette in order."""
    place = models.index(model)
    return COLOUR["grey"] if place == 0 else COLOUR[_SERIES[(place - 1) % len(_SERIES)]]


def series_colour(place: int) -> str:
    """Give the series at a place its colour."""
    return COLOUR[_SERIES[place % len(_SERIES)]]


def class_order(labels: set[str]) -> list[str]:
    """Order response classes as the legend does: the four of the method, then any other by name."""
    return [label for label in RESPONSE_CLASSES if label in labels] + sorted(labels - set(RESPONSE_CLASSES))


def stacked_shares(axes: Any, rows: Sequence[tuple[str, dict[str, int]]], *, horizontal: bool) -> None:
    """Draw one bar a row, cut into the shares of its classes; each wide enough segment says its share."""
    order = class_order({label for _, counts in rows for label in counts})
    places = range(len(rows))
    ends = [0.0] * len(rows)
    for label in order:
        shares = [counts.get(label, 0) / max(1, sum(counts.values())) for _, counts in rows]
        fill = {"color": COLOUR[CLASS_COLOUR.get(label, _OTHER_COLOUR)], "edgecolor": COLOUR["paper"], "linewidth": 0.8}
        if horizontal:
            axes.barh(places, shares, left=ends, height=0.62, label=legible(label.replace("_", " ")), **fill)
        else:
            axes.bar(places, shares, bottom=ends, width=0.66, label=legible(label.replace("_", " ")), **fill)
        for place, (end, share) in enumerate(zip(ends, shares, strict=True)):
            if share >= _LABEL_FROM_SHARE:
                middle = end + share / 2
                x, y = (middle, place) if horizontal else (place, middle)
                axes.text(x, y, f"{100 * share:.0f}", ha="center", va="center", color=COLOUR["paper"], fontsize=9)
        ends = [end + share for end, share in zip(ends, shares, strict=True)]


def widest_reach(bars: Iterable[Classed]) -> float:
    """Bound how uncertain the shares of a stacked figure are: how far their 95 % intervals reach, in points."""
    reaches = [
        rate_interval([found == label for _, found in bar], groups=[prompt for prompt, _ in bar]).reach
        for bar in bars
        for label in {found for _, found in bar}
    ]
    return 100 * max(reaches, default=0.0)


def class_counts(bar: Classed) -> dict[str, int]:
    """Count a bar's classes."""
    return dict(Counter(label for _, label in bar))


def percent_axis(axis: Any) -> None:
    """Mark an axis of shares in per cent."""
    axis.set_major_formatter(lambda share, _: f"{100 * share:.3g} %")


def around(value: float, low: float | None, high: float | None) -> list[list[float]]:
    """Give an interval the shape that an error bar takes; a bound that is missing or past the value counts as it."""
    return [[max(0.0, value - (value if low is None else low))], [max(0.0, (value if high is None else high) - value)]]
