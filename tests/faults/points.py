"""Points at which something goes wrong: how many of them are tried, and what is written down of each.

In continuous integration a few are tried. With ``CHARTER_FAULTS=full`` (``make faults``) all of them are, and
``CHARTER_KILLS=1000`` asks for more kills. ``CHARTER_FAULTS_LOG`` names a file that gets a line of JSON for each point,
from which ``benchmarks/faults.py`` makes the table of ``docs/reliability.md``.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

FULL = os.environ.get("CHARTER_FAULTS") == "full"
T = TypeVar("T")


def points(short: int, full: int, variable: str = "") -> range:
    """Number the points that are tried; a variable of the environment may ask for another number of them."""
    asked = os.environ.get(variable, "") if variable else ""
    return range(int(asked) if asked else full if FULL else short)


def some(of: Sequence[T], short: int) -> list[T]:
    """Take all points, or so many of them, drawn in the same way each time."""
    if FULL or len(of) <= short:
        return list(of)
    return [of[at] for at in sorted(random.Random(0).sample(range(len(of)), short))]  # noqa: S311 - no secret


@dataclass
class Point:
    """A point, and what came of it: ``held`` unless something more is to be told."""

    outcome: str = "held"


@contextlib.contextmanager
def point(line: str, where: object) -> Iterator[Point]:
    """Try one point of a line of the suite, and write down what came of it and how long it took."""
    tried, began = Point(), time.monotonic()
    try:
        yield tried
    except BaseException as error:
        tried.outcome = f"failed: {type(error).__name__}"
        raise
    finally:
        log = os.environ.get("CHARTER_FAULTS_LOG")
        if log:
            told = {"line": line, "point": str(where), "outcome": tried.outcome, "seconds": time.monotonic() - began}
            with Path(log).open("a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\n")
