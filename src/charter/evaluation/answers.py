"""Answers that a person brings: a prompt and an answer a row, and what people call the answer where they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from charter.errors import PromptError
from charter.given.reading import GivenFile, GivenRow, read_file
from charter.prompts.grouping import normalise_text
from charter.prompts.layouts.conversations import is_transcript, read_transcript
from charter.prompts.source_rows import whole_text
from charter.records import Message
from charter.seeds import row_id
from charter.spelling import hint

SchemeT = TypeVar("SchemeT", bound=str)
#: Reads a column of labels, each with its place: what each row is called, and what all of them speak of.
LabelReader = Callable[[Iterable[tuple[Any, str]], str], tuple[Sequence[str | None], SchemeT | None]]


@dataclass(frozen=True)
class Columns:
    """Where a file has what is wanted; without ``group``, rows of one prompt belong together."""

    prompt: str
    response: str
    label: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Answer:
    """One row of a file.

    Attributes:
        id: what determines it.
        number: of the row, counted from 1.
        name: the row's own ``id``; empty where the file has none.
        place: where it stands.
        prompt: what was asked.
        response: the answer.
        group: what it shares with others.
        label: what people call the answer, in the words of the file's scheme; None where they do not.
        left_out: why nothing can be said of it; empty where it has a prompt and an answer.
    """

    id: str
    number: int
    name: str
    place: str
    prompt: str
    response: str
    group: str
    label: str | None
    left_out: str

    @property
    def turns(self) -> tuple[Message, ...]:
        """The turns before the answer; a prompt may be a transcript that ends where that begins."""
        is_talk = is_transcript(self.prompt)
        turns = read_transcript(self.prompt) if is_talk else [Message(role="user", content=self.prompt)]
        while turns and turns[-1].role == "assistant" and not turns[-1].content.strip():
            turns.pop()
        return tuple(turns)


@dataclass(frozen=True)
class Answers(Generic[SchemeT]):
    """The rows of a file in its order, those left out among them, and what its labels speak of; None without any."""

    rows: tuple[Answer, ...]
    scheme: SchemeT | None

    @property
    def kept(self) -> tuple[Answer, ...]:
        """The rows with a prompt and an answer."""
        return tuple(row for row in self.rows if not row.left_out)

    @property
    def left_out(self) -> dict[str, int]:
        """Count the others by reason."""
        return dict(sorted(Counter(row.left_out for row in self.rows if row.left_out).items()))


def load_answers(path: str, columns: Columns, read_labels: LabelReader[SchemeT]) -> Answers[SchemeT]:
    """Read the answers of a file in any form that prompts are read in.

    Args:
        path: the file.
        columns: where it has what.
        read_labels: of the column of labels, where one is named.

    Raises:
        PromptError: naming the file, the line and what is wrong: a column that is not there, a cell that is no text, a
            label that says nothing; or that no row has a prompt and an answer, or a label.
    """
    given = read_file(path)
    for name in filter(None, (columns.prompt, columns.response, columns.label, columns.group)):
        if name not in given.columns:
            raise PromptError(
                f"{path}: has no column {name!r}; its columns are {', '.join(given.columns)}{hint(name, given.columns)}"
            )
    labels, scheme = _labels(path, given, columns.label, read_labels)
    answers = Answers(
        tuple(
            _answer(number, row, label, columns)
            for number, (row, label) in enumerate(zip(given.rows, labels, strict=True), start=1)
        ),
        scheme,
    )
    if not answers.kept:
        raise PromptError(
            f"{path}: no row has both a {columns.prompt!r} and a {columns.response!r}; name the columns that hold them"
        )
    return answers


def _labels(
    path: str, given: GivenFile, column: str | None, read_labels: LabelReader[SchemeT]
) -> tuple[Sequence[str | None], SchemeT | None]:
    if column is None:
        return [None] * len(given.rows), None
    labels, scheme = read_labels(((row.values.get(column), row.place) for row in given.rows), column)
    if scheme is None:
        raise PromptError(f"{path}: the column {column!r} has no label; leave --label-column out, or name another")
    return labels, scheme


def _answer(number: int, row: GivenRow, label: str | None, columns: Columns) -> Answer:
    prompt, response = (_text(row, name) for name in (columns.prompt, columns.response))
    missing = [name for name, text in (("prompt", prompt), ("answer", response)) if not text.strip()]
    name = row.values.get("id")
    return Answer(
        id=row_id("answer", Path(row.place).name, prompt, response),  # the same from whatever folder the file is named
        number=number,
        name="" if name is None else str(name),
        place=row.place,
        prompt=prompt,
        response=response,
        group=normalise_text(prompt) if columns.group is None else _group(row, columns.group, number),
        label=label,
        left_out=f"no {' and no '.join(missing)}" if missing else "",
    )


def _group(row: GivenRow, column: str, number: int) -> str:
    """Name a row's group; a row without one stands for itself."""
    value = row.values.get(column)
    return f"row {number}" if value is None or value == "" else f"of {value}"


def _text(row: GivenRow, name: str) -> str:
    value = row.values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PromptError(f"{row.place}: {name!r} is {type(value).__name__}; expected a text")
    return whole_text(value, row.place, name)
