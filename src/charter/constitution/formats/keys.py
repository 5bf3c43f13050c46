"""Where foreign files' own names and extras are found again in a constitution."""

from __future__ import annotations

from collections.abc import Iterator

from charter.constitution.model import Constitution, Principle

#: In ``Constitution.metadata``: what a country's config says of generating, by section, keys in small letters.
GENERATION = "generation"
#: In ``Constitution.metadata``: lists of example prompts by their names in the file.
FEW_SHOT_PROMPTS = "few_shot_prompts"
#: In ``Principle.metadata``: prompts that the file brings for a principle.
QUESTIONS = "questions"


def principle_by_source_key(constitution: Constitution, key: str, *, base: str = "") -> Principle:
    """Find the principle that a file's rows mean by a key.

    A number is the position in the source's order, counted from 0, which is how the countries' rows are keyed; only
    where no principle stands at it, and for any other key, is it the source's own id, and then ours. Ids that are
    numbers are not asked first: the first principle of such a file has the id "1" and the key "0".

    Args:
        constitution: read from the source's file, in the source's order.
        key: as the rows have it, such as ``"0"``; for ``"0_3"`` give the part before the ``_``.
        base: where the principles came by ``extends``, the name of the constitution that they are of.

    Raises:
        KeyError: where none is meant.
    """
    principles = [one for one in constitution.principles if one.base == base]
    if key.isascii() and key.isdigit() and len(key) < len("1000000") and int(key) < len(principles):
        return principles[int(key)]
    for name in ("source_id", "id"):
        for principle in principles:
            if getattr(principle, name) == key:
                return principle
    raise KeyError(key)


def principle_questions(constitution: Constitution) -> Iterator[tuple[Principle, str]]:
    """Give the prompts that came with the principles, in order, each with its principle."""
    for principle in constitution.principles:
        questions = principle.metadata.get(QUESTIONS)
        for question in questions if isinstance(questions, list) else ():
            if isinstance(question, str) and question.strip():
                yield principle, question
