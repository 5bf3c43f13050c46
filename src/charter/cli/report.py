"""``charter report``: a run's report, written anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from charter.cli import console
from charter.cli.options import AsJson, RunFolder, examples


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    shown = examples("charter report runs/smoke", "charter report runs/smoke --out page.html --max-rows 200")
    app.command("report", epilog=shown)(report)


Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="PAGE", help="Another file for the page, beside the one in RUN.", dir_okay=False),
]
MaxRows = Annotated[
    int | None,
    typer.Option("--max-rows", metavar="N", min=1, help="Rows to be looked at; otherwise as the recipe says."),
]


def report(folder: RunFolder, out: Out = None, max_rows: MaxRows = None, as_json: AsJson = False) -> None:
    """Write a run's report anew.

    It is made from what the folder holds; the page's path is printed. What is damaged is named, and left out.
    """
    from charter.damage import find_damage
    from charter.recipe.stages import stages_of
    from charter.reporting import report as write_report
    from charter.status import read_run_recipe

    names = stages_of(read_run_recipe(folder))
    for damage in find_damage(folder, [name for name in names if name != "report"]):
        console.note(f"left out of the report: {damage}")
    page = write_report(folder, out, max_rows=max_rows)
    if as_json:
        console.write_json({"report": str(page)})
    else:
        console.write(str(page))
