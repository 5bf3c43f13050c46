"""Options that measurements share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JudgeEngine = Annotated[str, typer.Option("--judge-engine", metavar="E", help="The judge's engine, as --engine.")]
KeptIn = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FOLDER",
        help="Where figures and every row behind them are kept; the same command goes on there.",
        show_default=False,
    ),
]
