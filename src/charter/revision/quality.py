"""What small models get wrong in a revision, found on every row and never trained on silently."""

from __future__ import annotations

from charter.engines.base import Completion
from charter.text_quality import classify_response, has_preamble, is_repetitive, leaks_critique

#: Flags that keep a text out of training. ``identical`` is counted but not among them: a fine response stays.
BLOCKING = frozenset({"empty", "cut", "critique_leak", "preamble", "refusal_only", "repetition"})


def response_flags(prompt: str, completion: Completion) -> tuple[str, ...]:
    """Flag a response by itself: ``empty``, ``cut`` at the token limit, ``repetition``, ``refusal_only``."""
    text = completion.text.strip()
    if not text:
        return ("empty",)
    found = {
        "cut": completion.finish == "length",
        "repetition": is_repetitive(text),
        "refusal_only": str(classify_response(prompt, text)) == "bare_refusal",
    }
    return tuple(flag for flag, present in found.items() if present)


def revision_flags(prompt: str, before: str, critique: Completion | None, revision: Completion) -> tuple[str, ...]:
    """Flag a revision against what it revises and the critique that asked for it.

    Adds ``critique_leak``, ``preamble``, ``identical`` and, where the critique itself was cut, ``critique_cut``.
    """
    flags = response_flags(prompt, revision)
    text = revision.text.strip()
    if not text:
        return flags
    found = {
        "critique_leak": leaks_critique(text, critique.text if critique else ""),
        "preamble": has_preamble(text),
        "identical": text == before.strip(),
        "critique_cut": critique is not None and critique.finish == "length",
    }
    return (*flags, *(flag for flag, present in found.items() if present))
