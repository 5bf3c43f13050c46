"""``charter country``: a country's rows, written by a model in the wording of the country's configuration."""

from __future__ import annotations

import typer

from charter.cli.country import red_team, replies
from charter.cli.options import examples

app = typer.Typer(
    help="A country's red team, revisions and preferences, written in its own wording and its own files.",
    epilog=examples(
        "charter country red-team config.yaml red_team.json --model gpt-4o --engine openai",
        "charter country sft config.yaml red_team.json sft.json --model gpt-4o --engine openai",
    ),
    rich_markup_mode=None,
)
for verb in (red_team, replies):
    verb.add_to(app)
