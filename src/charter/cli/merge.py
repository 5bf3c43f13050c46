"""``charter merge``: the shards of a run, joined."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from charter.cli import console, results
from charter.cli.options import AsJson, RunFolder, examples
from charter.cli.running import stoppable


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "merge",
        epilog=examples("charter merge runs/smoke", "charter merge runs/smoke fetched/03-of-16 fetched/07-of-16"),
    )(merge)


def merge(
    folder: RunFolder,
    shards: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SHARD", help="Folders of shards that lie elsewhere than in the run's folder.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take what the shards of a run did into the run, and finish their stages from that.

    All shards must be there and finished, of the run's recipe and inputs; every row is accounted for. No model is
    loaded or asked. What was merged before is not merged again; stopped at any moment, the same command goes on.
    """
    from charter.reporting.wording import counted
    from charter.sharding.merging import merge_shards

    with stoppable() as (stop, progress):
        merged = merge_shards(folder, shards or (), progress=progress, stop=stop)
    if as_json:
        console.write_json({**results.run_json(folder), "merged": asdict(merged), "next": _next(folder)})
        return
    if merged.stages:
        results.write_stages(folder, merged.stages)
        if "evaluate" in merged.stages:
            results.write_measurements(folder)
        console.write(
            f"merged {counted(merged.n_shards, 'shard')}: {', '.join(merged.stages)}; "
            f"{merged.n_rows:,} rows and {merged.n_completions:,} answers taken in"
        )
    else:
        console.write("nothing to merge: no shard has done what the run has not")
    if merged.n_damaged:
        console.write(f"{merged.n_damaged} records of shards were damaged, and left out")
    console.write(f"next: {_next(folder)}")
    console.write(str(folder))


def _next(folder: Path) -> str:
    from charter.status import read_status

    return read_status(folder).next_step
