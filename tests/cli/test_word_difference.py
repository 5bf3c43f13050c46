from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.cli.word_difference import word_difference

TEXTS = st.lists(st.sampled_from(["a", "bee", "sea,", "Dee.", "\n", "  ", "[-x-]"]), max_size=12).map(" ".join)


def test_words_are_told_apart() -> None:
    """What went and what came stand side by side; the rest is the same."""
    found = list(word_difference("I will not help you.", "I will gladly help you."))
    assert found == [("same", "I will "), ("removed", "not"), ("added", "gladly"), ("same", " help you.")]


def test_neighbouring_changes_are_one() -> None:
    """White space that happens to be in both texts does not cut a changed phrase into words."""
    found = list(word_difference("No, I cannot do that.", "No, let us see about that."))
    assert found == [("same", "No, "), ("removed", "I cannot do"), ("added", "let us see about"), ("same", " that.")]


@given(TEXTS, TEXTS)
def test_both_texts_can_be_put_together_again(before: str, after: str) -> None:
    """What is the same or added is the new text, what is the same or removed the old one, to the character."""
    found = list(word_difference(before, after))
    assert "".join(words for kind, words in found if kind != "removed") == after
    assert "".join(words for kind, words in found if kind != "added") == before


@given(TEXTS)
def test_equal_texts_have_no_difference(text: str) -> None:
    """A text against itself is the same all through."""
    assert all(kind == "same" for kind, _ in word_difference(text, text))


@pytest.mark.parametrize(("before", "after"), [("x y z", "x Y z"), ("y", "Y"), ("x y", "x"), ("", "Y"), ("x", "x")])
def test_very_long_texts_take_no_long_time(before: str, after: str) -> None:
    """They are compared from both ends, and still come back to the character."""
    words = " ".join(f"w{n % 7}" for n in range(20_000))
    first, second = (text.replace("x", f"{words} x").replace("z", f"z {words}") for text in (before, after))
    if "x" not in before:
        first, second = f"{first} {words}", f"{words} {second}"
    begun = time.process_time()
    told = list(word_difference(first, second))
    assert time.process_time() - begun < 5
    assert "".join(text for change, text in told if change != "added") == first
    assert "".join(text for change, text in told if change != "removed") == second
    assert all(text for _, text in told)
