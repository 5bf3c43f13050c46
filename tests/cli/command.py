"""The command in small: a recipe on the scripted engine, and what came of a command."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

RECIPE = """\
name: demo
constitution: harmless
models: {policy: {name: demo, engine: scripted}}
prompts: {n_train: 6, n_train_helpful: 6, n_evaluation: 4, n_evaluation_helpful: 4}
pairs: {n: 16}
"""

# Starts the command with answers that take their time, so that there is a run to stop.
SLOW = """\
import asyncio, sys, time
from charter.engines.scripted import ScriptedEngine
answer = ScriptedEngine.complete
async def slowly(self, request):
    {wait}
    return await answer(self, request)
ScriptedEngine.complete = slowly
from charter.cli import main
main(sys.argv[1:])
"""


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """What it printed as JSON."""
        return json.loads(self.out)


class Command(Protocol):
    """Runs the command inside this process."""

    def __call__(self, *arguments: str | Path) -> Done:
        """Run it with these arguments."""
        ...


class Start(Protocol):
    """Starts the command in a process of its own."""

    def __call__(self, *arguments: str, wait: str = "pass") -> subprocess.Popen[str]:
        """Start it; ``wait`` is what each answer of the scripted engine does first."""
        ...
