"""``charter constitution list`` and ``show``."""

from __future__ import annotations

import typer

from charter.cli import console
from charter.cli.constitutions.options import Source
from charter.cli.options import AsJson, examples


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("list", epilog=examples("charter constitution list"))(list_built_in)
    app.command("show", epilog=examples("charter constitution show harmless", "charter constitution show mine.yaml"))(
        show
    )


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
