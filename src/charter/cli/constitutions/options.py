"""Arguments that verbs about constitutions share."""

from __future__ import annotations

from typing import Annotated

import typer

Source = Annotated[str, typer.Argument(metavar="NAME", help="A built-in name, or a file.", show_default=False)]
