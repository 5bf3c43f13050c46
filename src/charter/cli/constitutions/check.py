"""``charter constitution check``: a constitution's file and its wording."""

from __future__ import annotations

import typer

from charter.cli import console
from charter.cli.constitutions.options import Source
from charter.cli.options import AsJson, examples
from charter.errors import UserError


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "check", epilog=examples("charter constitution check harmless", "charter constitution check mine.yaml")
    )(check)


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
