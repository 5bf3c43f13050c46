"""``charter check``: whether a recipe is sound, and what it would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from charter.cli import console
from charter.cli.options import AsJson, Out, Overrides, Recipe, examples
from charter.cli.plan_table import write_plan
from charter.cli.running import run_folder
from charter.errors import UserError

if TYPE_CHECKING:
    from charter.planning.findings import Preflight


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "check",
        epilog=examples(
            "charter check recipes/smoke.yaml",
            "charter check recipes/smoke.yaml revise.rounds=4 pairs.n=48",
            "charter check recipes/smoke.yaml --json",
        ),
    )(check)


def check(recipe: Recipe, overrides: Overrides = None, out: Out = None, as_json: AsJson = False) -> None:
    """Check a recipe and plan it.

    The recipe, the constitution and its wording, the prompts, the models and what they can do, devices,
    multiple-choice files and the disk are looked at. No weights are loaded or fetched; of a model that is not here the
    hub is asked what it is. The plan counts rows, calls and tokens as if nothing were filtered; its times are
    estimates.

    The exit code is 2 where an error was found.
    """
    from charter.planning.preflight import check_recipe
    from charter.recipe import find_recipe, load_recipe

    try:
        found = load_recipe(find_recipe(recipe), overrides or ())
    except UserError as error:
        if not as_json:
            raise
        console.write_json({"recipe": str(recipe), "folder": None, **_unreadable(error).to_dict()})
        raise typer.Exit(UserError.exit_code) from error
    folder = run_folder(found.name, out)
    report = check_recipe(found, folder)
    if as_json:
        console.write_json({"recipe": found.name, "folder": str(folder), **report.to_dict()})
    else:
        console.write(f"{recipe}: {found.name}, would run in {folder}")
        for finding in report.findings:
            console.write(f"{finding.severity}: {finding.about}: {finding.message}")
        if report.plan is not None:
            write_plan(report.plan)
        n_errors = len(report.errors)
        console.write("no errors" if not n_errors else f"{n_errors} error{'s' if n_errors > 1 else ''}")
    if report.errors:
        raise typer.Exit(UserError.exit_code)


def _unreadable(error: UserError) -> Preflight:
    """Say what is wrong with a recipe that cannot be read in the form of all findings, one for each line."""
    from charter.planning.findings import Preflight

    report = Preflight()
    for line in str(error).splitlines():
        report.add("error", "recipe", line)
    return report
