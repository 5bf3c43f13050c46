"""``charter status``: how far a run is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from charter.cli import console
from charter.cli.options import AsJson, RunFolder, examples
from charter.cli.progress import clock_time

if TYPE_CHECKING:
    from charter.status import StageStatus


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("status", epilog=examples("charter status runs/smoke", "charter status runs/smoke --json"))(status)


def status(folder: RunFolder, as_json: AsJson = False) -> None:
    """Show how far a run is.

    Its stages, what became of their rows, who is at work in it, and what to do next.
    """
    from charter.status import read_status

    found = read_status(folder)
    if as_json:
        console.write_json(found.to_dict())
        return
    console.write(f"{found.name} in {folder}" + (f": {found.holder} is at work" if found.holder else ""))
    console.write_columns(
        ("stage", "state", "done", "left out", "failed", "time"),
        [_cells(stage) for stage in found.stages],
        right=(2, 3, 4, 5),
    )
    for stage in found.stages:
        for word, reasons in (("left out", stage.filtered), ("failed", stage.failed)):
            for reason, n in reasons.items():
                console.write(f"{stage.stage}: {n} {word}: {reason}")
    if found.n_damaged:
        console.write(f"{found.n_damaged} records of the journal are damaged: their rows are done again")
    console.write(f"next: {found.next_step}")


def _cells(stage: StageStatus) -> tuple[str, ...]:
    counts = (stage.n_done, sum(stage.filtered.values()), sum(stage.failed.values()))
    seconds = "" if stage.seconds is None else clock_time(stage.seconds)
    return (stage.stage, stage.state, *(str(count) if count else "" for count in counts), seconds)
