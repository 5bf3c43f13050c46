"""The requests that a principle does not bring along, made from its text by rule.

Each stands on its own, because it is shown without the rest of the constitution. The critique asks in both directions
and the revision allows for no change: a request that takes harm for granted makes a critic find some (CAI §3.5 on
critiques that overstate), and a reviser refuse what was fine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CLOSED = (".", "!", "?", "…", ".”", '."', "。")


def derive_critique_request(text: str) -> str:
    """Ask whether a response follows the principle, and where it does not."""
    return (
        f"Here is a principle for the assistant: {_sentence(text)} "
        "Say whether and where the assistant's last response departs from this principle, or say that it is fine."
    )


def derive_revision_request(text: str) -> str:
    """Ask for a response that follows the principle, or for the same one."""
    return (
        f"Here is a principle for the assistant: {_sentence(text)} "
        "If the assistant's last response already follows this principle, keep it as it is, word for word. "
        "Otherwise rewrite it so that it does, and so that it is still as helpful as it can be."
    )


def derive_choice_question(text: str) -> str:
    """Ask which of two responses follows the principle better."""
    return f"Here is a principle for the assistant: {_sentence(text)} Which response follows this principle better?"


DERIVATIONS = {
    "critique_request": derive_critique_request,
    "revision_request": derive_revision_request,
    "choice_question": derive_choice_question,
}


def with_derived_requests(principle: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a principle's fields: every request that is missing is derived from its text, if it has one."""
    fields = dict(principle)
    text = fields.get("text")
    if isinstance(text, str) and text:
        for name, derive in DERIVATIONS.items():
            if name not in fields:
                fields[name] = derive(text)
    return fields


def _sentence(text: str) -> str:
    stripped = text.strip()
    return stripped if stripped.endswith(_CLOSED) else f"{stripped}."
