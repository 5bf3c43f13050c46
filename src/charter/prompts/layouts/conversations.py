r"""Conversations: lists of messages, and transcripts in one text (``\n\nHuman: ...\n\nAssistant: ...``).

A transcript knows no escapes: what stands behind an empty line and is called ``Human:`` begins a turn. So a file is
read as transcripts only where every text of it begins with a speaker; one text among plain prompts that looks like a
transcript stays a text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from pydantic import ValidationError

from charter.errors import PromptError
from charter.prompts.layouts.base import Columns, Layout, all_have, with_values
from charter.prompts.source_rows import SourceRow
from charter.records import Message

LIKELY_COLUMNS = ("prompt", "prompt_text", "instruction", "question", "query", "request", "text")
_MOST_SHOWN = 60  # characters of a value
_CONTEXT = "(shared context)"  # a name that no file's column is likely to have
# As chat data in circulation names who speaks.
_ROLES: Mapping[str, str] = {
    "human": "user",
    "gpt": "assistant",
    "user": "user",
    "assistant": "assistant",
    "system": "system",
}
_SPEAKERS = {"Human": "user", "Assistant": "assistant", "System": "system"}
_OPENING = re.compile(r"\s*(Human|Assistant|System):")
# One space behind the colon belongs to the mark, everything else to the text. A system text stands first or nowhere.
_TURN = re.compile(r"(?:\A\s*(System|Human|Assistant)|\n\n(Human|Assistant)):[ ]?")


def is_transcript(value: Any) -> bool:
    """Tell whether a value is a text that begins with a speaker."""
    return isinstance(value, str) and _OPENING.match(value) is not None


def read_transcript(text: str) -> list[Message]:
    """Cut a transcript into its turns; each keeps its text verbatim, but for the one space behind the colon."""
    marks = list(_TURN.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [
        Message.model_validate({"role": _SPEAKERS[mark[1] or mark[2]], "content": text[mark.end() : end]})
        for mark, end in zip(marks, ends, strict=True)
    ]


def read_turns(row: SourceRow, column: str, *, transcripts: bool = False) -> list[Message] | str:
    """Read every turn that a cell holds: of a text one, or a transcript's; of a list its messages. Or say why not.

    Raises:
        PromptError: for a cell of another type, or a message without role or content.
    """
    value = row.values[column]
    if value is None or value == [] or (isinstance(value, str) and not value.strip()):
        return "empty"
    if isinstance(value, str) and transcripts:
        return _said(row, value) if is_transcript(value) else "not a transcript"
    if isinstance(value, str):
        return [_message(row, {"role": "user", "content": value})]
    if not isinstance(value, list):
        raise PromptError(f"{row.place}: {column!r} is {_cut(repr(value))}; expected a text or a list of messages")
    return [_message(row, turn) for turn in value]


def _said(row: SourceRow, text: str) -> list[Message]:
    try:
        return read_transcript(text)
    except ValidationError as error:
        raise PromptError(f"{row.place}: not a transcript ({fault(error)})") from error


def until_question(turns: Sequence[Message]) -> tuple[Message, ...] | str:
    """Take a conversation up to its last user turn, or say why it is no prompt."""
    turns = list(turns)
    while turns and turns[-1].role != "user":
        turns.pop()
    if not turns:
        return "without a user's turn"
    if any(turn.role == "system" for turn in turns[1:]):
        return "with a system turn that is not the first"
    return tuple(turns) if turns[-1].content.strip() else "empty"


def _message(row: SourceRow, value: Any) -> Message:
    try:
        return Message.model_validate(role_and_content(value) if isinstance(value, Mapping) else value)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"])) or "message"
        is_there = found["type"] not in {"missing", "extra_forbidden"}
        given = f" is {_cut(repr(found['input']))}" if is_there else ""
        raise PromptError(
            f"{row.place}: not a message ({where}{given}: {fault(error)}); expected role and content"
        ) from error


def role_and_content(message: Mapping[str, Any]) -> dict[str, Any]:
    """Write a message by role and content, whatever it calls them: ``from`` and ``value``, parts of text for a text."""
    # A table gives every message the keys that any of them has.
    told = {name: inner for name, inner in message.items() if inner is not None}
    if "role" not in told and "from" in told:
        told["role"] = told.pop("from")
    if "content" not in told and "value" in told:
        told["content"] = told.pop("value")
    role, content = told.get("role"), told.get("content")
    if isinstance(role, str):
        told["role"] = _ROLES.get(role.lower(), role)
    if isinstance(content, list) and content and all(map(_is_text_part, content)):
        told["content"] = "".join(part["text"] for part in content)
    return told


def _is_text_part(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def fault(error: ValidationError) -> str:
    """Say the first thing that is wrong with a record's values."""
    return str(error.errors()[0]["msg"]).removeprefix("Value error, ")


def likely_column(row: SourceRow) -> str | None:
    """Find the column that is likely to hold a row's prompt, by its name in any case."""
    names = {name.lower(): name for name in reversed(row.values)}
    return next((names[name] for name in ("messages", *LIKELY_COLUMNS) if name in names), None)


def hold_transcripts(rows: Sequence[SourceRow], column: str | None = None) -> bool:
    """Whether every text of the prompt's column begins with a speaker, a person among them."""
    texts = [row.values.get(column or likely_column(row) or "") for row in rows]
    said = [text for text in texts if text is not None and not (isinstance(text, str) and not text.strip())]
    return bool(said) and all(map(is_transcript, said)) and any("Human:" in text for text in said)


def _pair(row: SourceRow) -> SourceRow:
    chosen, rejected = (read_turns(row, name, transcripts=True) for name in ("chosen", "rejected"))
    if isinstance(chosen, str) or isinstance(rejected, str):
        return with_values(row, {_CONTEXT: None}, reason=chosen if isinstance(chosen, str) else str(rejected))
    both = takewhile(lambda turns: turns[0] == turns[1], zip(chosen, rejected, strict=False))
    shared = [turn.model_dump() for turn, _ in both]
    return with_values(row, {_CONTEXT: shared}, reason="" if shared else "chosen and rejected share no turn")


def _are_pairs(rows: Sequence[SourceRow]) -> bool:
    sides = ("chosen", "rejected")
    told = likely_column(rows[0]) is not None  # the prompt itself is there
    values = [row.values.get(name) for row in rows for name in sides]
    return not told and all_have(rows, *sides) and all(isinstance(one, list) or is_transcript(one) for one in values)


def _are_chats(rows: Sequence[SourceRow]) -> bool:
    told = any(name in row.values for row in rows for name in LIKELY_COLUMNS)  # the prompt itself is there
    named = all_have(rows, "messages", of=(list, type(None)))
    return named or (not told and all(isinstance(_talk(row), list) for row in rows))


def _talk(row: SourceRow) -> Any:
    """Give a row's conversation: under its usual name, else under the other."""
    usual = row.values.get("messages")
    return usual if isinstance(usual, list) else row.values.get("conversations", usual)


def _with_messages(row: SourceRow) -> SourceRow:
    return with_values(row, {"messages": _talk(row)})


PAIRS = Layout(
    "pairs",
    "'chosen' and 'rejected', each a whole transcript or a list of messages",
    _are_pairs,
    Columns(prompt=_CONTEXT),
    unfold=lambda rows: [_pair(row) for row in rows],
)
MESSAGES = Layout(
    "messages",
    "'messages', a list of {role, content}, or 'conversations', one of {from, value}",
    _are_chats,
    Columns(prompt="messages"),
    unfold=lambda rows: [_with_messages(row) for row in rows],
)
TRANSCRIPTS = Layout(
    "transcripts",
    "a text that begins with 'Human:'",
    hold_transcripts,
    has_transcripts=True,
)
ROWS = Layout("rows", "a prompt a row", lambda _: True)
