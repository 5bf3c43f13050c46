"""A prompt of a row: its turns, its id and what else the row's columns say of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from charter.errors import PromptError
from charter.prompts.layouts.base import Columns
from charter.prompts.layouts.conversations import fault, likely_column, read_turns, until_question
from charter.prompts.principles import PrincipleNames
from charter.prompts.source_rows import SourceRow
from charter.records import Message, Prompt, PromptKind
from charter.seeds import row_id
from charter.spelling import hint

_NO_CELL = (bool, list, Mapping)  # what is no text, and would become one that nobody wrote


class PromptColumnError(PromptError):
    """No column is called as prompts are, and none was named.

    Args:
        place: in the source.
        columns: that are there.
        remedy: where the column is named.
    """

    def __init__(self, place: str, columns: Sequence[str], remedy: str = "Set 'column' to one of") -> None:
        super().__init__(
            f"{place}: which column is the prompt? {remedy}: {', '.join(columns)} (where that is no name of a column, "
            "the file needs a line of names first)"
        )
        self.place, self.columns = place, columns


@dataclass(frozen=True)
class RowReader:
    """How the rows of one source become prompts.

    Attributes:
        kind: of the prompts.
        source: where they are from.
        columns: which hold what; without an ``id`` ids follow from the content.
        transcripts: texts are whole conversations.
        system: goes before every conversation that has no system text of its own.
        principles: what names of principles become.
        unused_id: a column of ids that tell no prompts apart, kept as the source's own.
    """

    kind: PromptKind
    source: str
    columns: Columns
    transcripts: bool = False
    system: str = ""
    principles: PrincipleNames = field(default_factory=PrincipleNames)
    unused_id: str = ""

    def read(self, row: SourceRow, twin_of: str | None = None) -> Prompt | str:
        """Make a row's prompt, or say why it has none.

        Args:
            row: of the source.
            twin_of: the id of the red-team prompt that it imitates, where its columns do not say.

        Raises:
            PromptError: for a value that cannot be what its column is for.
        """
        turns = self.turns(row)
        if isinstance(turns, str):
            return turns
        columns = self.columns
        given_id = optional_text(row, columns.id)
        if columns.id is not None and given_id is None:
            raise PromptError(
                f"{row.place}: the id in column {columns.id!r} is empty; give every row one, or no 'id_column'"
            )
        principle = _loose_text(row, columns.principle) or ""
        try:
            return Prompt(
                id=given_id or content_id(self.kind, turns),
                turns=turns,
                kind=self.kind,
                category=optional_text(row, columns.category) or "",
                source=self.source,
                split="evaluation" if row.values.get(columns.split or "") == "evaluation" else "train",
                twin_of=optional_text(row, columns.twin) or twin_of,
                reference=self._reference(row),
                principle=self.principles.id_of(principle, row.place),
                setting=_loose_text(row, columns.setting) or "",
                source_id=_loose_text(row, columns.source_id) or _loose_text(row, self.unused_id) or "",
            )
        except ValidationError as error:
            raise PromptError(f"{row.place}: {error.errors()[0]['loc'][0]}: {fault(error)}") from error

    def _reference(self, row: SourceRow) -> str | None:
        """Read the reference answer; of a column of conversations it is what answers the last question."""
        name = self.columns.reference
        of_prompt = self.transcripts and name == (self.columns.prompt or likely_column(row))
        if name is None or not (of_prompt or _is_conversation(row.values.get(name))):
            return optional_text(row, name)
        turns = read_turns(row, name, transcripts=self.transcripts)
        question = None if isinstance(turns, str) else until_question(turns)
        if question is None or isinstance(question, str):
            return None
        answers = [turn.content for turn in turns[len(question) :] if isinstance(turn, Message)]
        return (answers[0] or None) if answers else None

    def id_of(self, row: SourceRow) -> str | None:
        """Give the id that a row's prompt has as a red-team prompt; None where it has no prompt."""
        turns = self.turns(row)
        if isinstance(turns, str):
            return None
        return optional_text(row, self.columns.id) or content_id("red_team", turns)

    def turns(self, row: SourceRow) -> tuple[Message, ...] | str:
        """Read the conversation up to its last user turn, with the system text that goes before it; or say why not."""
        column = self.columns.prompt or likely_column(row)
        if column is None:
            raise PromptColumnError(row.header or row.place, column_names([row]))
        found = read_turns(row, column, transcripts=self.transcripts)
        turns = found if isinstance(found, str) else until_question(found)
        system = optional_text(row, self.columns.system) or self.system
        if isinstance(turns, str) or not system or turns[0].role == "system":
            return turns
        return (_system_turn(row, system), *turns)


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(turn, Mapping) for turn in value)


def _system_turn(row: SourceRow, text: str) -> Message:
    try:
        return Message(role="system", content=text)
    except ValidationError as error:
        raise PromptError(f"{row.place}: system: {fault(error)}") from error


def content_id(kind: PromptKind, turns: Sequence[Message]) -> str:
    """Make the id of a prompt whose source gives none."""
    return row_id("prompt", kind, [turn.model_dump() for turn in turns])


def column_names(rows: Iterable[SourceRow]) -> tuple[str, ...]:
    """Name the columns that any row has, without those that a layout adds."""
    return tuple(dict.fromkeys(name for row in rows for name in row.values if not name.startswith("(")))


def check_columns(rows: Sequence[SourceRow], asked: Mapping[str, str], where: Iterable[str]) -> None:
    """Check that the columns that were asked for are there.

    Every row needs its prompt and its id; what rows are chosen or sorted by may be missing from some.
    """
    for name in (asked[use] for use in ("prompt", "id") if use in asked):
        for row in rows:
            if name not in row.values:
                there = f"the columns are {', '.join(column_names([row]))}{hint(name, row.values)}"
                raise PromptError(f"{row.header or row.place}: there is no column {name!r}; {there}")
    known = column_names(rows)
    for name in (*asked.values(), *where):
        if name not in known and not any(name in row.values for row in rows):
            there = f"the columns are {', '.join(known)}{hint(name, known)}"
            raise PromptError(f"{rows[0].header or rows[0].place}: no row has a column {name!r}; {there}")


def tells_apart(rows: Sequence[SourceRow], name: str) -> bool:
    """Whether a column can be the ids: every row has one, and rows that share one are the same row written twice."""
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        given = _loose_text(row, name)
        if given is None or first.setdefault(given, row.values) != row.values:
            return False
    return True


def optional_text(row: SourceRow, name: str | None) -> str | None:
    """Read a cell as text; None where the row has none, or an empty one.

    Raises:
        PromptError: for a value that is no text and no number.
    """
    value = None if name is None else row.values.get(name)
    if isinstance(value, _NO_CELL):
        raise PromptError(f"{row.place}: {name!r} is {type(value).__name__}; expected a text or a number")
    if isinstance(value, float):  # what tables make of whole numbers where some rows have none
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    return None if value is None or value == "" else str(value)


def _loose_text(row: SourceRow, name: str | None) -> str | None:
    """Read a cell that nobody asked for as text, and as nothing where it is none."""
    return None if isinstance(row.values.get(name or ""), _NO_CELL) else optional_text(row, name)
