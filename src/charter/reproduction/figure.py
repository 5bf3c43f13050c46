"""What a figure of the paper is here: values behind points, points behind a drawing, and claims held against both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from charter.records import FlatRow, Record
from charter.statistics import ANY_NUMBER, TIE, Interval, mean_interval, rate_interval
from charter.statistics.resampling import Limits

if TYPE_CHECKING:
    from charter.reproduction.desk import Desk

#: Whether what the paper found shows here.
Shows = Literal["yes", "no", "undecided"]


class Value(FlatRow):
    """One row's value at one place of a figure: what points are made of, and what they can be traced to.

    ``panel`` and ``series`` say which line of which panel it lies on, ``x`` where; ``row`` names the row, such as a
    prompt, and rows of one ``group`` hang together.
    """

    panel: str
    series: str
    x: float
    row: str
    group: str
    value: float


class Point(FlatRow):
    """What is drawn at one place: a figure with its 95 % interval over ``n`` rows.

    ``n_groups`` counts what is independent among the rows; None where each stands for itself. Both ends of the interval
    are None where the rows cannot bound it.
    """

    panel: str
    series: str
    x: float
    value: float
    low: float | None
    high: float | None
    n: int
    n_groups: int | None = None


class Claim(Record):
    """Something that the paper found, and whether it shows here.

    ``difference`` is what it was held against, with its 95 % interval, over ``n`` rows; None where nothing could be
    measured, of which ``told`` says why.
    """

    statement: str
    shows: Shows
    told: str
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    n: int = 0


@dataclass(frozen=True)
class Panel:
    """A panel of a figure.

    Attributes:
        name: by which its values and points go.
        y: what is measured, with its unit.
        x: what it is measured over.
        places: names of places on the x axis, from 0; empty where ``x`` is a number.
        is_share: whether values lie between 0 and 1.
        level: a value to compare with, such as chance, and what it is called.
        diagonal: whether a point is as it should be where both axes agree.
    """

    name: str
    y: str
    x: str
    places: tuple[str, ...] = ()
    is_share: bool = False
    level: tuple[float, str] | None = None
    diagonal: bool = False


@dataclass(frozen=True)
class Made:
    """What a figure came to.

    Attributes:
        panels: that have points.
        points: to draw.
        values: the rows behind the points.
        claims: of the paper, held against the values.
        notes: what a reader must know besides, such as what was left out and why.
    """

    panels: Sequence[Panel]
    points: Sequence[Point]
    values: Sequence[Value]
    claims: Sequence[Claim]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Trial:
    """A run that figures read: the recipe with other settings, as far as a stage.

    Attributes:
        name: of its folder.
        until: the last stage; None goes on to the last that trains.
        settings: ``key=value``, in place of the recipe's.
        n_principles: of the constitution, drawn by the recipe's seed, fewer of them among more; None takes all.
    """

    name: str
    until: str | None
    settings: tuple[str, ...] = ()
    n_principles: int | None = None


@dataclass(frozen=True)
class Figure:
    """A figure of the paper, or an ablation that it tells of.

    Attributes:
        name: as the command takes it, such as ``5``.
        title: what it shows.
        found: what the paper found, in our words.
        make: makes it.
        trials: the runs that it reads.
    """

    name: str
    title: str
    found: str
    make: Callable[[Desk], Made]
    trials: tuple[Trial, ...] = ()


def points_of(values: Sequence[Value], limits: Limits = ANY_NUMBER) -> list[Point]:
    """Average the values of each place, rows of one group taken whole; rates where all values are outcomes.

    Args:
        values: of all places.
        limits: what no mean of theirs can exceed.
    """
    places: dict[tuple[str, str, float], list[Value]] = {}
    for one in values:
        places.setdefault((one.panel, one.series, one.x), []).append(one)
    return [point_at(*place, _interval(rows, limits)) for place, rows in places.items()]


def point_at(panel: str, series: str, x: float, found: Interval) -> Point:
    """Put a figure with its interval at a place."""
    return Point(
        panel=panel,
        series=series,
        x=x,
        value=found.value,
        low=found.low,
        high=found.high,
        n=found.n,
        n_groups=found.n_groups,
    )


def _interval(rows: Sequence[Value], limits: Limits) -> Interval:
    values, groups = [one.value for one in rows], [one.group for one in rows]
    if set(values) <= {0.0, TIE, 1.0}:
        return rate_interval(values, groups=groups)
    return mean_interval(values, groups=groups, limits=limits)
