"""What the verbs of a country share: its configuration, its principles, and how it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="The country's configuration, a YAML file.", show_default=False)
]
Principles = Annotated[
    Path | None,
    typer.Option("--principles", metavar="FILE", help="The list of principles, in place of CONFIG's src_principles."),
]
FewShots = Annotated[
    Path | None,
    typer.Option("--few-shots", metavar="FILE", help="Worked examples: the first list in it that has any."),
]
Tries = Annotated[
    int, typer.Option("--tries", min=1, max=20, help="Answers asked for, at most, until one has a whole row.")
]
Temperature = Annotated[float, typer.Option("--temperature", min=0.0, max=10.0, help="Of every answer.")]
