from __future__ import annotations

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
