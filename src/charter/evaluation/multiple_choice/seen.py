"""Questions that a model has seen the context of before: left out and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from charter.constitution.model import Constitution
from charter.evaluation.multiple_choice.questions import ChoiceRow, load_choices
from charter.prompts.contamination import find_seen
from charter.prompts.grouping import normalise_text
from charter.prompts.selection import shown_contexts
from charter.records import Prompt


def asked_in(path: str) -> list[str]:
    """Read what the questions of a file ask, without their options: what no training prompt may ask.

    Raises:
        PromptError: naming the line and what is wrong.
    """
    return [normalise_text(row.asked) for row in load_choices(path)]


def seen_texts(constitutions: Iterable[Constitution], trained_on: Iterable[Prompt]) -> dict[str, list[str]]:
    """Gather what a run has shown already, by where: in the constitutions' few-shot examples, in training prompts."""
    return {
        "a few-shot example": shown_contexts(constitutions),
        "a training prompt": [prompt.text for prompt in trained_on],
    }


def leave_out_seen(
    rows: Sequence[ChoiceRow], seen: Mapping[str, Iterable[str]], near_duplicates: float | None = None
) -> tuple[list[ChoiceRow], dict[str, int]]:
    """Leave out questions whose context was seen before, in whatever dress.

    A context that the file names by something else than its text does not hide the text: that is looked at too.

    Args:
        rows: the questions.
        seen: texts by where they were seen (see ``seen_texts``).
        near_duplicates: how much a context and a text must resemble each other; None goes by those that differ in
            writing alone.

    Returns:
        The other questions, and how many were left out, by reason.

    Raises:
        PromptError: for a threshold out of bounds.
    """
    shown = [(text, place) for place, texts in seen.items() for text in texts]
    # Each row's text, then each row's context.
    asked = [*(normalise_text(row.asked) for row in rows), *(row.context for row in rows)]
    found = find_seen(asked, [text for text, _ in shown], near_duplicates)
    places = {one.index % len(rows): shown[one.other][1] for one in reversed(found)}
    left_out = Counter(f"shares its context with {place}" for place in places.values())
    return [row for number, row in enumerate(rows) if number not in places], dict(left_out)
