"""``charter constitution``: one file a verb."""

from __future__ import annotations

import typer

from charter.cli.constitutions import check, convert, diff, draft, reading
from charter.cli.options import examples

app = typer.Typer(
    help="Constitutions: those that are built in, and your own.",
    epilog=examples("charter constitution show harmless", "charter constitution check mine.yaml"),
    rich_markup_mode=None,
)
for verb in (reading, check, convert, diff, draft):
    verb.add_to(app)
