from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.given.transcripts import is_readable, read_prompt_turns, read_turns
from charter.records import Message, transcript
from row_examples import TEXTS

TURNS = st.lists(st.builds(Message, content=TEXTS), min_size=1, max_size=4).map(tuple)


def turns(*said: tuple[str, str]) -> tuple[Message, ...]:
    """Make a conversation."""
    return tuple(Message(role=role, content=content) for role, content in said)  # type: ignore[arg-type]


@given(TURNS)
def test_what_is_readable_comes_back(conversation: tuple[Message, ...]) -> None:
    """A conversation that is said to be readable is read as it was, white space and all."""
    if is_readable(conversation):
        assert read_prompt_turns(transcript(conversation)) == conversation


def test_many_turns_are_readable() -> None:
    """Ordinary conversations survive, a lone question too."""
    assert is_readable(turns(("user", "Hi"), ("assistant", " Hello\n\nthere "), ("user", "How?\n")))
    assert is_readable(turns(("system", "Be kind."), ("user", "Hi")))
    assert is_readable(turns(("user", "\n\nHuman: quoted\n\nAssistant: said")))


@pytest.mark.parametrize(
    "conversation",
    [
        turns(("user", "\n\nHuman: looks like a turn")),
        turns(("user", "one"), ("assistant", "two\n\nHuman: three"), ("user", "four")),
        turns(("user", "one"), ("assistant", "two")),
    ],
)
def test_what_would_be_read_otherwise_is_told(conversation: tuple[Message, ...]) -> None:
    """Text that looks like a turn, and a talk that ends with an answer, are not readable as prompts."""
    assert not is_readable(conversation)


def test_the_place_of_the_answer_is_no_turn() -> None:
    """``Assistant:`` without a text at the end is where the answer goes."""
    assert read_prompt_turns("\n\nHuman: Hi\n\nAssistant:") == turns(("user", "Hi"))
    assert read_turns("plain text") is None
