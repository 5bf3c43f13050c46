"""Traits with questions: what a character says of itself, and what to ask it so that this shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from charter.prompts.layouts.base import Columns, Layout, all_have, with_values
from charter.prompts.source_rows import SourceRow

_PROMPT = "(question)"


def _unfold(rows: Sequence[SourceRow]) -> list[SourceRow]:
    return [part for position, row in enumerate(rows) for part in _questions(position, row)]


def _questions(position: int, row: SourceRow) -> Iterator[SourceRow]:
    questions = row.values["questions"]
    if not questions:
        yield with_values(row, {_PROMPT: None}, reason="without a question")
    for number, question in enumerate(questions):
        added = {_PROMPT: question, "principle": str(position), "source_id": f"{position}_{number}"}
        yield with_values(row, added, f"question {number + 1}")


TRAITS = Layout(
    "traits",
    "'trait' and a list of 'questions'",
    lambda rows: all_have(rows, "trait", of=str) and all_have(rows, "questions", of=list),
    Columns(prompt=_PROMPT, category="trait"),
    unfold=_unfold,
    is_indexed=True,
)
