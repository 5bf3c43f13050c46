"""``charter constitution diff``: what changed between two constitutions, and what of a run that touches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from charter.cli import console
from charter.cli.options import AsJson, examples


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "diff",
        epilog=examples(
            "charter constitution diff harmless mine.yaml",
            "charter constitution diff runs/smoke/constitution.yaml new.yaml --run runs/smoke",
            "charter constitution diff old.yaml new.yaml --json",
        ),
    )(diff)


Old = Annotated[str, typer.Argument(metavar="OLD", help="The constitution before: a built-in name, or a file.")]
New = Annotated[str, typer.Argument(metavar="NEW", help="The constitution after.")]
OfRun = Annotated[
    Path | None,
    typer.Option("--run", metavar="RUN", help="The folder of a run that was begun with OLD: which rows are touched."),
]


def diff(old: Old, new: New, run: OfRun = None, as_json: AsJson = False) -> None:
    """Show what changed between two constitutions, principle by principle and word by word.

    Principles are told apart by their ids. The version that the change asks for is named. With --run, the traces and
    labels of a run that the change touches are counted; with --json they are named.
    """
    from charter.cli.constitutions.diff_view import view_diff, view_touched
    from charter.constitution import diff_constitutions, load_constitution

    before, after = load_constitution(old), load_constitution(new)
    found = diff_constitutions(before, after)
    touched = None
    if run is not None:
        from charter.planning.touched import find_touched

        touched = find_touched(run, before, after)
    if as_json:
        console.write_json(
            {**found.model_dump(mode="json"), **({"touched": touched.to_dict()} if touched is not None else {})}
        )
        return
    console.write_styled(view_diff(found, colours=console.has_colours()))
    if touched is not None:
        for line in view_touched(touched):
            console.write(line)
