"""``charter prompts``: one file a verb."""

from __future__ import annotations

import typer

from charter.cli.options import examples
from charter.cli.prompting import built_in, helpful, read, red_team, split

app = typer.Typer(
    help="Prompts: the built-in ones, and your own.",
    epilog=examples("charter prompts show red_team --category privacy", "charter prompts read questions.csv"),
    rich_markup_mode=None,
)
for verb in (built_in, read, red_team, helpful, split):
    verb.add_to(app)
