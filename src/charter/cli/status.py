"""``charter status``: how far a run is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from charter.cli import console
from charter.cli.options import AsJson, RunFolder, examples
from charter.cli.progress import clock_time
from charter.cli.results import money_cell
from charter.errors import UserError

if TYPE_CHECKING:
    from charter.sharding.overview import ShardStatus
    from charter.status import RunStatus, StageStatus


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("status", epilog=examples("charter status runs/smoke", "charter status runs/smoke --json"))(status)


def status(folder: RunFolder, as_json: AsJson = False) -> None:
    """Show how far a run is.

    Its stages, what became of their rows, who is at work in it, and what to do next. The exit code is 2 where something
    that a finished stage made is gone or damaged.
    """
    from charter.status import read_status

    found = read_status(folder)
    if as_json:
        console.write_json(found.to_dict())
    else:
        _write(folder, found)
    if found.damage:
        raise typer.Exit(UserError.exit_code)


def _write(folder: Path, found: RunStatus) -> None:
    console.write(f"{found.name} in {folder}" + (f": {found.holder} is at work" if found.holder else ""))
    header = ("stage", "state", "done", "left out", "failed", "time", *(["money"] if found.money is not None else []))
    rows = [_cells(stage)[: len(header)] for stage in found.stages]
    console.write_columns(header, rows, right=tuple(range(2, len(header))))
    if found.money is not None:
        console.write(f"spent on servers: {found.money:.4g}")
    for stage in found.stages:
        if stage.stopped:
            console.write(f"{stage.stage}: stopped: {stage.stopped}")
    for stage in found.stages:
        for word, reasons in (("left out", stage.filtered), ("failed", stage.failed)):
            for reason, n in reasons.items():
                console.write(f"{stage.stage}: {n} {word}: {reason}")
    if found.shards:
        console.write()
        console.write_columns(("shard", "state", "done", "left", "rows"), [_shard_cells(one) for one in found.shards])
    for damage in found.damage:
        console.write(f"{damage.stage}: damaged: {damage.problem}")
    if found.n_damaged:
        console.write(f"{found.n_damaged} records of the journal are damaged: their rows are done again")
    console.write(f"next: {found.next_step}")


def _shard_cells(one: ShardStatus) -> tuple[str, ...]:
    state = f"running ({one.holder})" if one.holder else one.state
    return (one.shard, state, ", ".join(one.done), ", ".join(one.left), str(one.n_rows or ""))


def _cells(stage: StageStatus) -> tuple[str, ...]:
    counts = (stage.n_done, sum(stage.filtered.values()), sum(stage.failed.values()))
    seconds = "" if stage.seconds is None else clock_time(stage.seconds)
    return (
        stage.stage,
        stage.state,
        *(str(count) if count else "" for count in counts),
        seconds,
        money_cell(stage.money),
    )
