"""``charter export``: a run's rows in a layout that others read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.cli import console
from charter.cli.options import AsJson, RunFolder, examples

if TYPE_CHECKING:
    from charter.publishing import Exported


class Format(StrEnum):
    """The layouts."""

    native = "native"
    cai_conversation = "cai-conversation"
    country = "country"
    answer_improvement = "answer-improvement"
    trl = "trl"
    trl_standard = "trl-standard"
    alignment_handbook = "alignment-handbook"
    axolotl = "axolotl"
    llama_factory = "llama-factory"


class Rows(StrEnum):
    """What can be exported."""

    prompts = "prompts"
    traces = "traces"
    sft = "sft"
    preferences = "preferences"


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "export",
        epilog=examples(
            "charter export runs/smoke exported --format trl",
            "charter export runs/smoke for-spreadsheets --format answer-improvement --what preferences",
        ),
    )(export)


def export(  # noqa: PLR0917 - the command line, in the order of its help
    folder: RunFolder,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The folder to make; it must be new or empty.", show_default=False)
    ],
    layout: Annotated[
        Format,
        typer.Option("--format", metavar="NAME", help=f"The layout: {', '.join(Format)}.", show_default=False),
    ],
    what: Annotated[
        Rows | None,
        typer.Option("--what", metavar="ROWS", help=f"{', '.join(Rows)}; all that the layout holds if not given."),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Leave cells of a CSV as they are, for training tools. A spreadsheet may run such cells."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run's prompts, traces, SFT rows and preferences for other tools.

    The folder appears whole or not at all. What the layout has no place for is named, and so is every row that it
    cannot hold.
    """
    from charter.publishing import export_run

    done = export_run(folder, out, layout.value, what=what.value if what else None, raw=raw)
    if as_json:
        console.write_json(done.to_dict())
    else:
        _show(done)


def _show(done: Exported) -> None:
    console.write_columns(("file", "rows"), [(name, str(n)) for name, n in done.files.items()], right=(1,))
    for kind, names in done.lost.items():
        console.write(f"{kind}: no place for {', '.join(names)}")
    for kind, reasons in done.left_out.items():
        for reason, n in reasons.items():
            console.write(f"{kind}: {n} left out: {reason}")
    if done.missing:
        console.write(f"the run has no {', '.join(done.missing)} yet")
    if done.template:
        console.write(f"conversations are written in the chat template of {done.template}")
    console.write(done.out)
