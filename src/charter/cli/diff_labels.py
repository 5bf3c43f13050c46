"""``charter diff-labels``: which preferences of two runs differ, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from charter.cli import console
from charter.cli.label_difference import plain_difference, read_labels, write_difference
from charter.cli.options import AsJson, Iteration, examples

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
            "charter diff-labels runs/plain runs/calibrated --iteration 2",
            "charter diff-labels runs/plain runs/calibrated --json",
        ),
    )(diff_labels)


def diff_labels(
    before: _Before, after: _After, iteration: Iteration = 1, rows: _Rows = 10, as_json: AsJson = False
) -> None:
    """Show which preferences of two runs flipped, and why.

    Pairs are the same where their ids and both texts are: of runs from one recipe, with another judge, calibrator,
    prior or number of principles. Nothing is asked. With --json every pair that changed is named.
    """
    from charter.feedback.differences import compare_labels
    from charter.stages.label import settling_of
    from charter.status import read_run_recipe

    labels = read_labels(before, iteration), read_labels(after, iteration)
    recipes = read_run_recipe(before), read_run_recipe(after)
    found = compare_labels(*labels, settlings=(settling_of(recipes[0]), settling_of(recipes[1])))
    if as_json:
        console.write_json({"runs": [str(before), str(after)], "iteration": iteration, **plain_difference(found)})
        return
    n_iterations = max(recipe.iterations for recipe in recipes)
    if n_iterations > 1:
        console.write(f"iteration {iteration} of {n_iterations}:")
    write_difference(found, rows)
