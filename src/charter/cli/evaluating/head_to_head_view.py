"""A head to head as people read it: what the judge is worth, the ratings of each side, and what to read them with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from charter.cli import console
from charter.cli.results import plain, size_cell

Figure = Mapping[str, Any]


def write_standings(told: Mapping[str, Any]) -> None:
    """Print everything that was found; ``told`` is what ``--json`` prints."""
    for line in _about_judge(told):
        console.write(line)
    for one in told["models"]:
        for line in _about_model(one, told["max_tokens"]):
            console.write(line)
    for reason, n in told["left_out"].items():
        console.write(f"prompts left out, {n:,}: {reason}")
    for name, side in told["sides"].items():
        console.write()
        _write_side(name, side, told["anchor"])


def _about_judge(told: Mapping[str, Any]) -> Iterator[str]:
    judge, audit = told["judge"], told["audit"]
    if told["judge_engine"] == "scripted":
        yield "A script answered in the judge's place: no figure here says anything of a model."
    if audit is None:
        yield f"The judge, {judge}, was not audited here; what it is worth, this says:"
        yield f"  charter audit {judge} --labels FILE --out FOLDER    (then --audit FOLDER)"
        return
    grade = audit["grade"] or "none, for the labels are not people's"
    yield f"The judge, {judge}: agreement with {audit['labels']} {percent(audit['agreement'])}; grade: {grade}"
    if audit["verdict"]:
        yield f"  {audit['verdict']}"
    if not audit["same_judge"]:
        yield f"  The audit is of another model than this judge: {audit['judge']} ({audit['identity']})."


def _about_model(one: Mapping[str, Any], max_tokens: int) -> Iterator[str]:
    for reason, n in one["unanswered"].items():
        yield f"{one['name']}: {n:,} prompts without an answer: {reason}"
    if one["n_other_answers"]:
        yield f"{one['name']}: {one['n_other_answers']:,} answers in {one['source']} are to prompts that were not asked"
    if one["n_cut"]:
        yield f"{one['name']}: {one['n_cut']:,} of {one['n_answers']:,} answers were cut at {max_tokens:,} tokens"


def _write_side(name: str, side: Mapping[str, Any], anchor: str) -> None:
    console.write(
        f"{name}, by the principles of {side['constitution']}: {side['n_prompts']:,} prompts, "
        f"{side['n_comparisons']:,} comparisons"
    )
    _write_ratings(side["models"], anchor)
    write_win_rates([one["name"] for one in side["models"]], side["win_rates"], anchor)
    console.write()
    console.write(f"  ties                         {side['n_ties']:,}, of which {side['n_equal']:,} of equal answers")
    console.write(f"  invalid, in no figure        {side['n_invalid']:,}")
    console.write(f"  same position in both orders {percent(side['same_position'])}")
    console.write(f"  the longer answer wins       {percent(side['longer_wins'])}")
    for reason, n in side["failed"].items():
        console.write(f"  failed, {n:,}: {reason}")


def _write_ratings(models: Sequence[Mapping[str, Any]], anchor: str) -> None:
    """Print a line a model; the anchor's ratings are 0 by definition."""
    rows = [
        (
            f"  {one['name']}",
            points(one["bradley_terry"], is_anchor=one["name"] == anchor),
            points(one["elo"], is_anchor=one["name"] == anchor),
            "" if one["name"] == anchor else percent(one["length_controlled"]),
            "" if one["n_characters"] is None else f"{one['n_characters']:,.0f}",
        )
        for one in models
    ]
    header = (f"  points above {anchor}", "Bradley-Terry", "Elo", f"beats {anchor} at equal length", "characters")
    console.write_columns(header, rows, right=(4,))


def write_win_rates(names: Sequence[str], rates: Mapping[str, Mapping[str, Figure]], anchor: str) -> None:
    """Print how often each model beats each one before it, the anchor being first: a line for every pair that met."""
    ordered = sorted(names, key=lambda name: name != anchor)
    rows = [
        _win_cells(name, other, rates[name][other])
        for other, name in combinations(ordered, 2)
        if other in rates.get(name, {})
    ]
    if rows:
        header = ("  who beats whom", "win rate", "95 % interval", "n", "ties", "p, adjusted")
        console.write()
        console.write_columns(header, rows, right=range(1, 6))


def _win_cells(name: str, other: str, found: Figure) -> tuple[str, ...]:
    from charter.reporting import wording

    return (
        f"  {name} beats {other}",
        plain(wording.value(found["value"], "rate")),
        plain(wording.interval(found["low"], found["high"], "rate")),
        size_cell(found["n"], found["n_groups"]),
        f"{found['n_ties']:,}",
        wording.p_value(found["p_adjusted"]),
    )


def points(found: Figure | None, *, is_anchor: bool) -> str:
    """Write a rating; the anchor's is 0 by definition."""
    if found is None:
        return "none"
    return "0" if is_anchor else with_interval(found, lambda value: f"{value:+.0f}", "")


def percent(found: Figure | None) -> str:
    """Write a share with its interval and n."""
    return "none" if found is None else with_interval(found, lambda value: f"{100 * value:.1f}", " %")


def with_interval(found: Figure, write: Callable[[float], str], unit: str) -> str:
    """Write a figure with its interval and n, its numbers as ``write`` has them."""
    low, high = found["low"], found["high"]
    bounds = "no interval" if low is None or high is None else f"{write(low)} to {write(high)}"
    return f"{write(found['value'])}{unit} ({bounds}; n {found['n']:,})"
