"""Arguments and options that verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Recipe = Annotated[
    Path,
    typer.Argument(
        metavar="RECIPE",
        help="The recipe: a YAML file, or the name of one in the folder recipes/ here, or of one that comes with "
        "Charter: educational, mistral-7b, mistral-7b-full, paper, reproduction, romania, smoke, smollm2-1.7b, "
        "smollm2-135m, south-africa.",
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE", help="Settings in place of the recipe's, such as revise.rounds=2.", show_default=False
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FOLDER", help="The run's folder; runs/NAME, of the recipe's name, if not given."),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)]
Licence = Annotated[
    str | None,
    typer.Option(
        "--licence",
        metavar="NAME",
        help="What you publish under, as the hub names it, such as apache-2.0; no licence is named if not given.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]
Again = Annotated[
    bool,
    typer.Option(
        "--again",
        help="Do the stage again: what it and every later stage wrote is deleted first. Answers of models are kept, "
        "so that only what changed is asked.",
    ),
]
Iteration = Annotated[
    int,
    typer.Option(
        "--iteration",
        metavar="N",
        min=1,
        help="Which iteration's, where a recipe sets 'iterations'; the first's if not given.",
        show_default=False,
    ),
]


def examples(*lines: str) -> str:
    r"""Write examples for the end of a command's help; ``\b`` keeps their lines as they are."""
    return "\b\n" + "\n".join(("Examples:", *(f"  {line}" for line in lines)))
