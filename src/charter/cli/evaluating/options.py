"""Options that measurements share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

JudgeEngine = Annotated[str, typer.Option("--judge-engine", metavar="E", help="The judge's engine, as --engine.")]
_MODEL: Any = typer.Option(
    "--model",
    "-m",
    metavar="M",
    help="[NAME=]M[@ENGINE]: an embedded name, a model's or adapter's folder, or a hub id; several times to "
    "compare others with the first.",
    show_default=False,
)
Models = Annotated[list[str], _MODEL]
SomeModels = Annotated[list[str] | None, _MODEL]
KeptIn = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FOLDER",
        help="Where figures and every row behind them are kept; the same command goes on there.",
        show_default=False,
    ),
]
