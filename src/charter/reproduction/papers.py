"""What a figure leaves in its folder: values and points as tables, pictures, a caption; and the page of all figures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import RunError
from charter.files.tables import read_json, write_json, write_table, write_text
from charter.reproduction.claims import SIGNIFICANT
from charter.reproduction.drawing import draw
from charter.reproduction.figure import Claim, Figure, Made, Point, Value
from charter.statistics import holm

PAGE = "reproduction.md"
POINTS, VALUES, TOLD, CAPTION = "points.parquet", "values.parquet", "figure.json", "caption.md"
PICTURES = ("figure.svg", "figure.png")
_SHOWS = {"yes": "shows", "no": "does not show", "undecided": "undecided"}


@dataclass(frozen=True)
class Told:
    """What is kept of a figure, beside its tables and pictures."""

    name: str
    title: str
    found: str
    claims: tuple[Claim, ...]
    notes: tuple[str, ...]
    by: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "figure": self.name,
            "title": self.title,
            "paper": self.found,
            "claims": [one.model_dump() for one in self.claims],
            "notes": list(self.notes),
            "by": dict(self.by),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Told:
        """Read what ``to_json`` gave."""
        claims = tuple(Claim.model_validate(one) for one in told["claims"])
        return cls(told["figure"], told["title"], told["paper"], claims, tuple(told["notes"]), told["by"])


def keep(folder: Path, figure: Figure, made: Made, by: Mapping[str, Any]) -> Told:
    """Write a figure's tables, pictures, caption, and what it comes to.

    Args:
        folder: of the figure.
        figure: which one.
        made: what it came to.
        by: the command's settings that determine it, by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = Told(figure.name, figure.title, figure.found, tuple(made.claims), tuple(made.notes), by)
    write_table(folder / VALUES, made.values, Value)
    write_table(folder / POINTS, made.points, Point)
    draw([folder / name for name in PICTURES], figure.title, made)
    write_text(folder / CAPTION, _caption(told, made.points))
    write_json(folder / TOLD, told.to_json())
    return told


def kept(folder: Path, by: Mapping[str, Any]) -> bool:
    """Tell whether a figure is there, whole and of the same settings."""
    told = _told(folder)
    return told is not None and told.by == json.loads(json.dumps(dict(by)))


def read_told(folders: Iterable[Path]) -> list[Told]:
    """Read what is kept of figures, as far as they are there."""
    return [told for one in folders if (told := _told(one)) is not None]


def _told(folder: Path) -> Told | None:
    """Read what is kept of a figure, which is written last; nothing where it is damaged, or of another version."""
    path = folder / TOLD
    try:
        return Told.from_json(read_json(path)) if path.exists() else None
    except (RunError, KeyError, TypeError, ValueError):  # a ValidationError is a ValueError
        return None


def write_page(folder: Path, figures: Sequence[Told]) -> None:
    """Write the page about all figures; p-values on it are adjusted for all tests of the page (Holm)."""
    tested = [claim for one in figures for claim in one.claims if claim.p_value is not None]
    adjusted = dict(zip(map(id, tested), holm([one.p_value or 0.0 for one in tested]), strict=True))
    lines = [
        "# The paper's figures, made again",
        "",
        f"{len(tested)} tests; p-values are adjusted for all of them (Holm).",
        "A claim shows where its 95 % interval lies on the paper's side and p is below 0.05, and does not show where",
        "that is so of the other side; before adjusting alone, where the adjusted p is not. It is undecided else.",
        "Where no p stands, the figures say what the claim is held to.",
    ]
    for one in figures:
        lines += ["", f"## {_heading(one)}", "", f"![{one.title}](figure-{one.name}/{PICTURES[0]})", ""]
        lines += [f"The paper: {one.found}", "", *_table(one.claims, adjusted)]
        lines += [line for note in one.notes for line in ("", note)]
    write_text(folder / PAGE, "\n".join(lines) + "\n")


def _table(claims: Sequence[Claim], adjusted: Mapping[int, float]) -> list[str]:
    rows = ["| claim | here | figures | p, adjusted |", "|---|---|---|---|"]
    for one in claims:
        p = adjusted.get(id(one))
        shows = f"{_SHOWS[one.shows]}{'' if _stands(one, p) else ', before adjusting'}"
        rows.append(f"| {one.statement} | {shows} | {one.told} | {'' if p is None else f'{p:.3g}'} |")
    return rows


def _stands(claim: Claim, adjusted: float | None) -> bool:
    """Tell whether a claim is still what it is where its p-value is adjusted."""
    return claim.shows == "undecided" or adjusted is None or adjusted < SIGNIFICANT


def _heading(one: Told) -> str:
    return f"Figure {one.name}: {one.title}" if one.name.isdigit() else one.title


def _caption(told: Told, points: Sequence[Point]) -> str:
    sizes = sorted({one.n for one in points})
    n = f"n {sizes[0]:,}" if len(sizes) == 1 else f"n {sizes[0]:,} to {sizes[-1]:,}" if sizes else "n 0"
    claims = [f"- {one.statement} Here: {_SHOWS[one.shows]}, {one.told}." for one in told.claims]
    body = [
        f"**{_heading(told)}.** Points with 95 % intervals, {n} a point. The paper: {told.found}",
        "",
        *claims,
        *(f"- {note}" for note in told.notes),
    ]
    return "\n".join(body) + "\n"
