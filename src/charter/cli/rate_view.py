"""What ratings come to, as plain values and as people read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from charter.cli import console
from charter.cli.evaluating.head_to_head_view import Figure, percent, points, with_interval, write_win_rates
from charter.cli.evaluating.meeting_results import win_rates

if TYPE_CHECKING:
    from charter.rating import Results

_NAMES = {"all": "all prompts", "red_team": "red-team prompts", "helpful": "helpful prompts"}


def plain_values(found: Results) -> dict[str, Any]:
    """Give everything that was found as plain values, as ``--json`` prints them."""
    told = asdict(found)
    for side in told["sides"].values():
        side["win_rates"] = win_rates(side.pop("met"))
    return told


def write_results(told: Mapping[str, Any]) -> None:
    """Print what ratings come to; ``told`` is what ``--json`` prints."""
    n = sum(one["n"] for one in told["raters"])
    pairs = f"{told['n_rated']:,} of {told['n_items']:,} pairs"
    console.write(f"{told['source']}: {n:,} ratings by {len(told['raters']):,} raters, of {pairs}")
    for question in told["questions"] if len(told["questions"]) > 1 else ():
        console.write(f"  raters were asked different questions: {question}")
    if told["n_gone"]:
        what = "of other pairs, in no figure (other models or kinds, or answers that were made anew since)"
        console.write(f"  {what}: {told['n_gone']:,}")
    if told["n_damaged"]:
        console.write(f"  lines that are damaged, in no figure: {told['n_damaged']:,}")
    for name, side in told["sides"].items():
        console.write()
        _write_side(_NAMES.get(name, "benign twins"), side, told["names"], told["anchor"])
    console.write()
    _write_raters(told["raters"], told["left"])
    console.write()
    _write_agreement(told)


def _write_side(name: str, side: Mapping[str, Any], names: Sequence[str], anchor: str) -> None:
    console.write(f"{name}: {side['n']:,} ratings")
    rows = [
        (
            f"  {one['name']}",
            points(one["bradley_terry"], is_anchor=one["name"] == anchor),
            points(one["elo"], is_anchor=one["name"] == anchor),
        )
        for one in side["ratings"]
    ]
    if rows:
        console.write_columns((f"  points above {anchor}", "Bradley-Terry", "Elo"), rows)
    write_win_rates(names, side["win_rates"], anchor)
    console.write(f"  the longer answer wins  {percent(side['longer_wins'])}")


def _write_raters(raters: Sequence[Mapping[str, Any]], left: Figure | None) -> None:
    rows = [
        (
            one["name"],
            f"{one['n']:,}",
            f"{one['n_ties']:,}",
            f"{one['n_skipped']:,}",
            percent(one["gold"]),
            percent(one["left"]),
            "none" if one["seconds"] is None else with_interval(one["seconds"], lambda value: f"{value:.1f}", " s"),
        )
        for one in raters
    ]
    header = ("rater", "compared", "ties", "skipped", "right of known answers", "prefers the first", "median time")
    console.write_columns(header, rows, right=(1, 2, 3))
    console.write(f"all raters prefer the first answer shown: {percent(left)}")


def _write_agreement(told: Mapping[str, Any]) -> None:
    together = [*told["agreement"], *([told["judge"]] if told["judge"] else [])]
    if together:
        rows = [(f"{one['one']} and {one['other']}", percent(one["same"]), _number(one["kappa"])) for one in together]
        console.write_columns(("agreement", "the same", "Cohen's kappa"), rows)
    console.write(f"Krippendorff's alpha of all raters: {_number(told['alpha'])}")


def _number(found: Figure | None) -> str:
    return "none" if found is None else with_interval(found, lambda value: f"{value:.2f}", "")
