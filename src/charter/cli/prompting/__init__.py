"""``charter prompts``: one file a verb."""

from __future__ import annotations

import typer

from charter.cli.prompting import built_in, helpful, read, red_team, split

app = typer.Typer(help="Prompts: the built-in ones, and your own.", rich_markup_mode=None)
for verb in (built_in, read, red_team, helpful, split):
    verb.add_to(app)
