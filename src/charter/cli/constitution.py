"""``charter constitution list``, ``show`` and ``check``."""

from __future__ import annotations

from typing import Annotated

import typer

from charter.cli import console
from charter.cli.options import AsJson, examples
from charter.errors import UserError

app = typer.Typer(help="Constitutions: those that are built in, and your own.", rich_markup_mode=None)

Source = Annotated[str, typer.Argument(metavar="NAME", help="A built-in name, or a file.", show_default=False)]


@app.command("list", epilog=examples("charter constitution list"))
def list_built_in(as_json: AsJson = False) -> None:
    """List the built-in constitutions."""
    from charter.constitution import list_constitutions, load_constitution

    found = [load_constitution(name) for name in list_constitutions()]
    if as_json:
        console.write_json(
            [
                {"name": one.name, "version": one.version, "principles": len(one.principles), "about": one.description}
                for one in found
            ]
        )
        return
    console.write_columns(
        ("name", "version", "principles", "about"),
        [(one.name, one.version, str(len(one.principles)), one.description.partition("\n")[0]) for one in found],
        right=(2,),
    )


@app.command("show", epilog=examples("charter constitution show harmless", "charter constitution show mine.yaml"))
def show(source: Source, as_json: AsJson = False) -> None:
    """Show a constitution: its principles, each with the three requests that put it to a model."""
    from charter.constitution import load_constitution

    constitution = load_constitution(source)
    if as_json:
        console.write_json(constitution.model_dump(mode="json"))
        return
    console.write(f"{constitution.name} {constitution.version} ({constitution.licence or 'no licence named'})")
    console.write(constitution.description)
    for principle in constitution.principles:
        weight = "" if principle.weight == 1.0 else f", weight {principle.weight:g}"
        console.write(f"\n{principle.id}: {principle.title} ({principle.category or 'no category'}{weight})")
        console.write(f"  principle  {principle.text}")
        console.write(f"  critique   {principle.critique_request}")
        console.write(f"  revision   {principle.revision_request}")
        console.write(f"  choice     {principle.choice_question}")
    shots = constitution.few_shots
    console.write(f"\nfew-shot examples: {len(shots.revise)} of revision, {len(shots.judge)} of judging")


@app.command("check", epilog=examples("charter constitution check harmless", "charter constitution check mine.yaml"))
def check(source: Source, as_json: AsJson = False) -> None:
    """Check a constitution's file and its wording; the exit code is 2 where an error was found."""
    from charter.constitution import check_constitution, load_constitution

    constitution = load_constitution(source)
    findings = check_constitution(constitution)
    errors = [finding for finding in findings if finding.severity == "error"]
    if as_json:
        console.write_json(
            {"ok": not errors, "name": constitution.name, "findings": [one.model_dump(mode="json") for one in findings]}
        )
    else:
        for finding in findings:
            place = f"{finding.principle}: " if finding.principle else ""
            console.write(f"{finding.severity}: {place}{finding.message}; {finding.remedy} [{finding.rule}]")
        console.write(f"{constitution.name}: {len(constitution.principles)} principles, {len(findings)} findings")
    if errors:
        raise typer.Exit(UserError.exit_code)
