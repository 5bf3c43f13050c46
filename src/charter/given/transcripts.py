r"""Conversations written as text, ``\n\nHuman: ...\n\nAssistant: ...``: read back into turns, as prompts are."""

from __future__ import annotations

import re

from charter.prompts.layouts.conversations import is_transcript, read_transcript
from charter.records import Message, transcript

_OURS = re.compile(r"\n\n(?:Human|Assistant|System):")


def read_turns(text: str) -> tuple[Message, ...] | None:
    """Read a transcript; None where the text does not begin as one."""
    return tuple(read_transcript(text)) if is_transcript(text) else None


def read_prompt_turns(text: str) -> tuple[Message, ...]:
    """Read what is put to a model: the turns of a transcript that ends with a person's turn, else a turn of the text.

    A prompt is a transcript where it begins with an empty line and a speaker: without that line it may be a question
    about one. A lone turn of the assistant's without a text behind them is where the answer goes.
    """
    turns = read_turns(text) if _OURS.match(text) else None
    if turns and turns[-1].role == "assistant" and not turns[-1].content:
        turns = turns[:-1]
    if not turns or turns[-1].role != "user":
        return (Message(role="user", content=text),)
    return turns


def is_readable(turns: tuple[Message, ...]) -> bool:
    """Tell whether a conversation that is written as text is read back as it was."""
    return read_prompt_turns(transcript(turns)) == turns
