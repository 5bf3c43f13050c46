"""``charter diff-labels``: which preferences of two runs differ, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.options import AsJson, examples

if TYPE_CHECKING:
    from charter.feedback.differences import Changed, LabelDifference
    from charter.records import Preference

_PREFERENCES = "data/preferences.parquet"
_PROMPT = 60  # characters of it that are shown
_WHY = {
    "principles": "other principles voted",
    "verdicts": "the judge said otherwise",
    "reading": "it was read in another way (calibrator, clamp)",
    "intention": "the pair's intention was weighed in another way (prior, on_disagreement)",
}

_Before = Annotated[Path, typer.Argument(metavar="RUN_A", help="The folder of a run.", show_default=False)]
_After = Annotated[Path, typer.Argument(metavar="RUN_B", help="The folder of another.", show_default=False)]
_Rows = Annotated[int, typer.Option("--rows", min=0, help="How many flips are shown, the furthest first.")]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "diff-labels",
        epilog=examples(
            "charter diff-labels runs/small-judge runs/large-judge",
            "charter diff-labels runs/plain runs/calibrated --rows 50",
            "charter diff-labels runs/plain runs/calibrated --json",
        ),
    )(diff_labels)


def diff_labels(before: _Before, after: _After, rows: _Rows = 10, as_json: AsJson = False) -> None:
    """Show which preferences of two runs flipped, and why.

    Pairs are the same where their ids and both texts are: of runs from one recipe, with another judge, calibrator,
    prior or number of principles. Nothing is asked. With --json every pair that changed is named.
    """
    from charter.feedback.differences import compare_labels

    found = compare_labels(_read(before), _read(after))
    if as_json:
        console.write_json(_plain(found, before, after))
    else:
        _write(found, rows)


def _read(folder: Path) -> list[Preference]:
    from charter.files.tables import read_table
    from charter.records import Preference
    from charter.status import read_run_recipe

    read_run_recipe(folder)  # which says so where the folder is no run
    return read_table(folder / _PREFERENCES, Preference)


def _plain(found: LabelDifference, before: Path, after: Path) -> dict[str, Any]:
    from dataclasses import asdict

    rate, shift = found.flip_rate, found.shift
    return {
        "runs": [str(before), str(after)],
        "n_common": len(found.changed),
        "n_flipped": len(found.flips),
        "flip_rate": None if rate is None else asdict(rate),
        "shift": None if shift is None else asdict(shift),
        "by_reason": dict(found.by_reason),
        "by_principle": dict(found.by_principle),
        "only_before": list(found.only_before),
        "only_after": list(found.only_after),
        "changed": [
            {
                "pair": one.before.pair,
                "prompt": one.before.prompt.id,
                "p_before": one.p_before,
                "p_after": one.p_after,
                "flipped": one.flipped,
                "reasons": list(one.reasons),
                "crossed": list(one.crossed),
            }
            for one in found.changed
            if one.reasons
        ],
    }


def _write(found: LabelDifference, n_rows: int) -> None:
    alone = f"; {len(found.only_before):,} pairs are in the first alone, {len(found.only_after):,} in the second alone"
    console.write(f"{len(found.changed):,} pairs are in both runs{alone}")
    rate, shift = found.flip_rate, found.shift
    if rate is None or shift is None:
        console.write("their labels cannot be compared: of one recipe and seed, pairs have the same ids and texts")
        return
    bounds = "" if rate.low is None or rate.high is None else f" ({100 * rate.low:.1f} to {100 * rate.high:.1f} %)"
    console.write(
        f"flipped: {len(found.flips):,}, {100 * rate.value:.1f} %{bounds}; P(a) moved by {shift.value:.3f} on average"
    )
    for reason, n in found.by_reason.items():
        console.write(f"  {n:,} of them: {_WHY[reason]}")
    if found.by_principle:
        console.write()
        console.write_columns(("principle", "flips in which its vote changed sides"), _counts(found), right=(1,))
    if shown := found.flips[:n_rows]:
        console.write()
        console.write_columns(("pair", "P(a) before", "after", "why", "prompt"), list(map(_row, shown)), right=(1, 2))


def _counts(found: LabelDifference) -> list[tuple[str, str]]:
    return [(name, f"{n:,}") for name, n in found.by_principle.items()]


def _row(one: Changed) -> tuple[str, str, str, str, str]:
    text = " ".join(one.before.prompt.text.split())
    short = text if len(text) <= _PROMPT else f"{text[: _PROMPT - 1]}…"
    return one.before.pair, f"{one.p_before:.3f}", f"{one.p_after:.3f}", ", ".join(one.reasons), short
