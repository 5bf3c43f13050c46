"""What small models get wrong, found on every row and never trained on silently."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from charter.records import OnCut
from charter.text_quality.boilerplate import has_preamble, leaks_critique
from charter.text_quality.copying import copies_example
from charter.text_quality.repetition import is_repetitive
from charter.text_quality.response_class import classify_response
from charter.text_quality.trimming import trim_to_sentence

#: How a text came to its end: by itself, at the token limit, trimmed back from there, or left open there on purpose.
Ending = Literal["whole", "cut", "trimmed", "open"]

#: The flag of a text that was left open: training gives it no end of turn.
OPEN = "open"

#: Flags that keep a text out of training. ``identical``, ``trimmed`` and ``open`` are counted but not among them: a
#: fine response stays, a trimmed one is whole again, and an open one is a beginning that may be learnt as such.
BLOCKING = frozenset({"empty", "cut", "critique_leak", "copies_example", "preamble", "refusal_only", "repetition"})


def settle_ending(text: str, on_cut: OnCut, *, cut: bool) -> tuple[str, Ending]:
    """Strip a drawn text and settle how it ends.

    A text in which no sentence ends cannot be trimmed and stays cut. One that is left open ends after its last whole
    word: a model must not learn half of one.
    """
    if not cut:
        return text.strip(), "whole"
    if on_cut == "open":
        words = text.strip().rsplit(maxsplit=1)
        return (words[0], "open") if len(words) > 1 else (text.strip(), "cut")
    trimmed = trim_to_sentence(text).strip() if on_cut == "trim" else ""
    return (trimmed, "trimmed") if trimmed else (text.strip(), "cut")


def response_flags(prompt: str, text: str, ending: Ending) -> tuple[str, ...]:
    """Flag a response by itself: ``empty``, ``cut``, ``trimmed`` or ``open``, ``repetition``, ``refusal_only``."""
    if not text.strip():
        return ("empty",)
    found = {
        "cut": ending == "cut",
        "trimmed": ending == "trimmed",
        OPEN: ending == "open",
        "repetition": is_repetitive(text),
        "refusal_only": str(classify_response(prompt, text)) == "bare_refusal",
    }
    return tuple(flag for flag, present in found.items() if present)


def revision_flags(
    prompt: str, before: str, critique: str, revision: str, ending: Ending, *, examples: Iterable[str] = ()
) -> tuple[str, ...]:
    """Flag a revision against what it revises, the critique that asked for it, and the examples' revisions.

    Adds ``critique_leak``, ``copies_example``, ``preamble`` and ``identical`` to the flags of a response.
    """
    flags = response_flags(prompt, revision, ending)
    if "empty" in flags:
        return flags
    found = {
        "critique_leak": leaks_critique(revision, critique),
        "copies_example": copies_example(prompt, revision, examples),
        "preamble": has_preamble(revision),
        "identical": revision.strip() == before.strip(),
    }
    return (*flags, *(flag for flag, present in found.items() if present))
