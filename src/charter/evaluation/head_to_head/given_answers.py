"""Answers that somebody has already: a file with a prompt and a response in each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from charter.errors import PromptError
from charter.prompts.reading import read_rows
from charter.prompts.row_prompts import check_columns
from charter.prompts.source_rows import SourceRow, whole_text
from charter.records import Prompt

PROMPT_COLUMN, RESPONSE_COLUMN = "prompt", "response"


@dataclass(frozen=True)
class GivenAnswers:
    """A file's answers by prompt id, and how many of its rows answer prompts that were not asked for."""

    by_prompt: dict[str, str]
    n_other: int


def load_answers(
    source: str,
    prompts: Sequence[Prompt],
    *,
    prompt_column: str = PROMPT_COLUMN,
    response_column: str = RESPONSE_COLUMN,
) -> GivenAnswers:
    """Read the answers to prompts, which are found by their text; white space around a text does not count.

    Args:
        source: any file that ``prompts.reading`` reads.
        prompts: that are to be answered; a conversation's text is its transcript.
        prompt_column: where the prompt is.
        response_column: where the answer is.

    Raises:
        PromptError: for a column that is not there, a cell that is no text, a prompt with two answers, and where no row
            answers any of the prompts.
    """
    rows = read_rows(source)
    check_columns(rows, {"prompt": prompt_column, "id": response_column}, ())
    ids: dict[str, list[str]] = {}
    for prompt in prompts:
        ids.setdefault(prompt.text.strip(), []).append(prompt.id)
    found: dict[str, SourceRow] = {}
    for row in rows:
        asked = _text(row, prompt_column).strip()
        other = found.setdefault(asked, row)
        if _text(row, response_column).strip() != _text(other, response_column).strip():
            raise PromptError(
                f"{row.place}: answers a prompt that {other.place} answers otherwise; keep one answer to each prompt"
            )
    by_prompt = {
        prompt: _text(row, response_column).strip() for asked, row in found.items() for prompt in ids.get(asked, ())
    }
    if not by_prompt:
        raise PromptError(
            f"{source}: none of its {len(found):,} prompts in column {prompt_column!r} is among the {len(ids):,} that "
            "are asked; name the file of its prompts with --prompts, or another column with --prompt-column"
        )
    return GivenAnswers(by_prompt, sum(asked not in ids for asked in found))


def _text(row: SourceRow, column: str) -> str:
    value: Any = row.values.get(column)
    if not isinstance(value, str):
        raise PromptError(f"{row.place}: {column!r} is {value!r}; expected a text")
    return whole_text(value, row.place, column)
