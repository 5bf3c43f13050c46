"""What small models get wrong, found on every row and never trained on silently."""

from __future__ import annotations

from charter.text_quality.boilerplate import has_preamble, leaks_critique
from charter.text_quality.repetition import is_repetitive
from charter.text_quality.response_class import classify_response

#: Flags that keep a text out of training. ``identical`` is counted but not among them: a fine response stays.
BLOCKING = frozenset({"empty", "cut", "critique_leak", "preamble", "refusal_only", "repetition"})


def response_flags(prompt: str, text: str, *, cut: bool) -> tuple[str, ...]:
    """Flag a response by itself: ``empty``, ``cut`` at the token limit, ``repetition``, ``refusal_only``."""
    if not text.strip():
        return ("empty",)
    found = {
        "cut": cut,
        "repetition": is_repetitive(text),
        "refusal_only": str(classify_response(prompt, text)) == "bare_refusal",
    }
    return tuple(flag for flag, present in found.items() if present)


def revision_flags(prompt: str, before: str, critique: str, revision: str, *, cut: bool) -> tuple[str, ...]:
    """Flag a revision against what it revises, and against the critique that asked for it.

    Adds ``critique_leak``, ``preamble`` and ``identical`` to the flags of a response.
    """
    flags = response_flags(prompt, revision, cut=cut)
    if "empty" in flags:
        return flags
    found = {
        "critique_leak": leaks_critique(revision, critique),
        "preamble": has_preamble(revision),
        "identical": revision.strip() == before.strip(),
    }
    return (*flags, *(flag for flag, present in found.items() if present))
