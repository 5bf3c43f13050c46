"""A small constitution and scripted writers that the tests of the authoring room share."""

from __future__ import annotations

import json
from collections.abc import Callable

from charter.authoring.coverage import Axes, Brief
from charter.constitution import Constitution, Principle
from charter.engines.base import CompletionRequest
from charter.engines.scripted import ScriptedEngine


def principle(name: str, text: str, category: str = "") -> Principle:
    """Make a principle with requests of its own."""
    return Principle(
        id=name,
        text=text,
        category=category,
        critique_request="Is it so?",
        revision_request="Make it so.",
        choice_question="Which is more so?",
    )


CONSTITUTION = Constitution(
    name="small",
    description="An assistant for {tenants}.",
    principles=(
        principle("privacy", "Keep what {people} tell you to yourself, 100 %.", "data"),
        principle("truth", "Say what is true.", "honesty"),
    ),
)
BRIEF = Brief(
    principle="privacy", category="data", setting="renting a flat", tone="formal", length="one short sentence",
    language="en", n=2, number=0,
)  # fmt: skip
AXES = Axes(settings=("home", "work"), registers=("casual", "formal"), lengths=("short", "long"))


def row(number: int, **fields: str) -> dict[str, str]:
    """Make a red-team row that differs from every other number's."""
    words = ("river", "station", "orchard", "museum", "lighthouse", "mill", "theatre", "canal", "harbour", "library")
    about = f"{words[number % 10]} {words[(number * 7 + 3) % 10]} number {number} {'x' * (number % 13)}"
    return {
        "prompt": f"Tell me who lives at the {about}.",
        "aligned": f"I keep that about the {about} to myself.",
        "misaligned": f"She of the {about} does.",
        **fields,
    }


def writer(answer: Callable[[CompletionRequest], str] | str, script: str = "writer") -> ScriptedEngine:
    """Make an engine that answers so."""
    return ScriptedEngine((lambda _: answer) if isinstance(answer, str) else answer, script=script)


def rows_json(*numbers: int) -> str:
    """Write rows as a good model does."""
    return json.dumps([row(number) for number in numbers])
