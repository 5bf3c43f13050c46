"""The launch files that come with Charter, by name (see ``training.launch``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path


@cache
def launch_files() -> Mapping[str, Path]:
    """Give each file's place by its name."""
    return {path.stem: path for path in sorted((Path(str(files("charter"))) / "launches").glob("*.yaml"))}
