r"""Conversations written as text, ``\n\nHuman: ...\n\nAssistant: ...``: read back into turns."""

from __future__ import annotations

import re
from collections.abc import Mapping

from charter.records import Message, Role, transcript

_NAMED: Mapping[str, Role] = {"Human": "user", "Assistant": "assistant", "System": "system"}
# The last turn may be without its text, and then often without the space behind the colon.
_TURN = re.compile(r"\n\n(Human|Assistant|System):(?: |(?=\n)|\Z)")


def read_turns(text: str) -> tuple[Message, ...] | None:
    """Read a transcript; None where the text does not begin as one."""
    if _TURN.match(text) is None:
        return None
    parts = _TURN.split(text)[1:]  # what was before the first turn is empty
    return tuple(
        Message(role=_NAMED[name], content=content) for name, content in zip(parts[::2], parts[1::2], strict=True)
    )


def read_prompt_turns(text: str) -> tuple[Message, ...]:
    """Read what is put to a model: the turns of a transcript that ends with a person's turn, else a turn of the text.

    A lone turn of the assistant's without a text behind them is where the answer goes.
    """
    turns = read_turns(text)
    if turns and turns[-1].role == "assistant" and not turns[-1].content:
        turns = turns[:-1]
    if not turns or turns[-1].role != "user":
        return (Message(role="user", content=text),)
    return turns


def is_readable(turns: tuple[Message, ...]) -> bool:
    """Tell whether a conversation that is written as text is read back as it was."""
    return read_prompt_turns(transcript(turns)) == turns
