"""Whether prompts that are held out resemble those that are trained on, or were shown in a few-shot."""

from __future__ import annotations

from collections.abc import Iterator

from charter.planning.findings import Severity
from charter.prompts.contamination import find_crossing
from charter.prompts.near_duplicates import DEFAULT_THRESHOLD
from charter.prompts.selection import Selection
from charter.recipe import Recipe


def find_likeness(recipe: Recipe, selection: Selection) -> Iterator[tuple[Severity, str, str]]:
    """Find what the split would let a model see before: severity, the recipe's key, and what to do."""
    threshold = recipe.prompts.near_duplicates
    crossing = find_crossing(selection.prompts, threshold or DEFAULT_THRESHOLD)
    if crossing and threshold is None:
        nearest = max(crossing, key=lambda one: one.similarity)
        n = "1 training prompt resembles" if len(crossing) == 1 else f"{len(crossing)} training prompts resemble"
        remedy = f"set it to {DEFAULT_THRESHOLD} to keep near-duplicates on one side"
        yield "note", "prompts.near_duplicates", f"{n} one that is held out, such as {nearest}; {remedy}"
    if threshold is not None and selection.shown:
        n = f"{len(selection.shown)} prompts are" if len(selection.shown) > 1 else "1 prompt is"
        yield "note", "prompts", f"{n} left out for what a few-shot shows, such as {selection.shown[0]}"
