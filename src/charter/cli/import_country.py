"""``charter import-country``: a recipe, a constitution and prompts, made of a country's files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from charter.cli import console
from charter.cli.country.options import Config, Principles
from charter.cli.options import AsJson, examples


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "import-country",
        epilog=examples(
            "charter import-country romania/config.yaml",
            "charter import-country sa_config.yaml --principles revised_sac.json --out south-africa",
            "charter import-country config.yaml --red-team prompts.json --model Qwen/Qwen2.5-7B-Instruct --size gpu",
        ),
    )(import_country)


def import_country(  # noqa: PLR0917 - the command line names them
    config: Config,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where the files go; it is made if not there.")
    ] = Path("imported"),
    principles: Principles = None,
    red_team: Annotated[
        Path | None, typer.Option("--red-team", metavar="FILE", help="red_team.json beside CONFIG if not given.")
    ] = None,
    sft: Annotated[
        Path | None, typer.Option("--sft", metavar="FILE", help="Revisions; sft.json beside CONFIG if not given.")
    ] = None,
    preferences: Annotated[
        Path | None, typer.Option("--preferences", metavar="FILE", help="preferences.json beside CONFIG if not given.")
    ] = None,
    few_shots: Annotated[
        Path | None, typer.Option("--few-shots", metavar="FILE", help="few_shot.json beside CONFIG if not given.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="What is trained: the embedded model, a folder or a hub id.")
    ] = "smollm2-135m",
    size: Annotated[str, typer.Option("--size", metavar="SIZE", help="smoke, laptop or gpu.")] = "laptop",
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What the run is called; as the country if not given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a commented recipe of a country's configuration, with a constitution and prompts beside it.

    Revisions and preferences are read where they are. Nothing of the country's own files is changed, and nothing that
    is there is written over without --force.
    """
    from charter.country import Brought, find_brought
    from charter.country import import_country as import_files

    imported = import_files(
        config,
        out,
        principles=principles,
        brought=find_brought(config, Brought(red_team, sft, preferences, few_shots)),
        model=model,
        size=size,
        name=name,
        force=force,
    )
    if as_json:
        console.write_json(
            {
                "files": [str(path) for path in imported.files],
                "account": imported.account,
                "remarks": list(imported.remarks),
                "next": list(imported.next),
            }
        )
        return
    for remark in imported.remarks:
        console.note(f"note: {remark}")
    for what, counts in imported.account.items():
        console.write(f"{what}: {_told(counts)}")
    for path in imported.files:
        console.write(f"written: {path}")
    console.write("next:")
    for command in imported.next:
        console.write(f"  {command}")


def _told(counts: Mapping[str, Any]) -> str:
    ways = {"left_out": "left out", "mended": "mended", "doubted": "doubtful"}
    told = [
        f"{sum(counts[key].values()):,} {said} ({'; '.join(f'{n:,} {reason}' for reason, n in counts[key].items())})"
        for key, said in ways.items()
        if counts.get(key)
    ]
    return ", ".join([f"{counts['kept']:,}", *told])
