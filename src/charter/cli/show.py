"""``charter show``: one prompt's whole life in a run."""

from __future__ import annotations

from typing import Annotated

import typer

from charter.cli import console
from charter.cli.options import AsJson, RunFolder, examples


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "show",
        epilog=examples(
            "charter show runs/smoke rt-privacy-06",
            "charter show runs/smoke rt-privacy-06 --json",
        ),
    )(show)


def show(
    folder: RunFolder,
    row: Annotated[
        str,
        typer.Argument(
            metavar="ROW",
            help="The id of a prompt or of any row that it led to, or the beginning of one.",
            show_default=False,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show one prompt's whole life.

    The response, critiques and revisions, pairs, verdicts and label, every model's answer, and what failed or was
    left out on the way, with the reason. Revisions are shown as what changed, word by word.
    """
    from charter.cli.life_view import view_life
    from charter.lookup import find_row

    life = find_row(folder, row)
    if as_json:
        console.write_json(life.to_dict())
    else:
        console.write_styled(view_life(life, colours=console.has_colours()))
