"""``charter card``: model cards and dataset cards of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from charter.cli import console
from charter.cli.options import AsJson, Licence, RunFolder, examples

_Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="STAGE",
        help="Only the card of this model: sft, dpo, rl, preference_model, or of a later iteration, such as dpo-2.",
        show_default=False,
    ),
]
_Datasets = Annotated[
    bool, typer.Option("--dataset", help="Only the cards of prompts, traces, SFT rows and preferences.")
]
_Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FOLDER", help="Where the cards are written; RUN/cards if not given.", show_default=False
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    shown = examples(
        "charter card runs/smoke",
        "charter card runs/smoke --model dpo --out published --licence apache-2.0",
        "charter card runs/smoke --dataset --json",
    )
    app.command("card", epilog=shown)(card)


def card(  # noqa: PLR0917 - the command line names them
    folder: RunFolder,
    model: _Model = None,
    dataset: _Datasets = False,
    out: _Out = None,
    licence: Licence = None,
    as_json: AsJson = False,
) -> None:
    """Write cards of a run's models and datasets, as the Hugging Face Hub shows them.

    They say first what got worse. Figures stand with n, interval and p, in the text and as a model index. No path, key
    or name of this machine is in them. A card that is there and differs is kept, and the command refused.
    """
    from charter.reporting.cards import write_cards

    done = write_cards(folder, out, model=model, datasets=dataset, licence=licence)
    for note in done.notes:
        console.note(note)
    if as_json:
        console.write_json(done.to_dict())
        return
    for one in done.cards:
        console.write(one.path)
