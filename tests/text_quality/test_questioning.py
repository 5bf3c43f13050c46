"""One short question, counted by its mark and its words."""

from __future__ import annotations

import pytest

from charter.text_quality import asks_one_question


@pytest.mark.parametrize(
    "text",
    [
        "What do you notice about the places where iron rusts?",
        "  What comes next?\n",
        "Fe is the sign of iron. Which other metal has a sign that does not fit its name?",
        'What would you call it, a "mammal"?',
        "**What do you get for 15 times 10?**",
        'Could you ask yourself: "What changes here?"',
        "Really??",
        "\u4f60\u600e\u4e48\u60f3\uff1f",
        "What fits: 3, 7, 11 or 15 (and why?)",
    ],
)
def test_one_question_at_the_end(text: str) -> None:
    """A sentence may come before it, and signs that close may come after it."""
    assert asks_one_question(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "Iron rusts because it meets water and air.",
        "What is rust? It is iron that has met water and air.",
        "What is it? And where does it come from?",
        "What is it made of? Tell me what you think.",
        "What do you notice about the places where iron",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    """No question, several, one that is answered at once, or one whose end is missing."""
    assert not asks_one_question(text)


def test_a_long_answer_that_ends_on_a_question_is_none() -> None:
    """The words before the question count with it, up to the limit and not beyond."""
    told = "word " * 38
    assert asks_one_question(f"{told}and why?")
    assert not asks_one_question(f"{told}word and why?")
    assert asks_one_question("Why so?", max_words=2)
    assert not asks_one_question("Why so?", max_words=1)
