"""Marks of style: each is found where it is, and not in what resembles it."""

from __future__ import annotations

import time

import pytest

from charter.text_quality.style import STYLES


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("markdown", "This is **bold** type."),
        ("markdown", "## A heading\nand text"),
        ("markdown", "See [here](https://example.org)."),
        ("markdown", "See [here](https://example.org/sea_(salt))."),
        ("markdown", "| a | b |\n|---|---|"),
        ("list", "You need:\n- flour\n- eggs"),
        ("list", "1. Begin.\n2) End."),
        ("code", "Call `print` on it."),
        ("code", "```\nx = 1\n```"),
        ("refusal phrase", "Good morning. I can't help with that."),
        ("preachy phrase", "It is important to remember that others differ."),
        ("boilerplate", "It is important to note this. I am here to help."),
        ("repetition", "We go home again. " * 6),
        ("question at the end", 'Is it "so?"'),
        ("first person", "Well, I'm not sure."),
        ("apology", "We apologise for it."),
        ("exclamation mark", "Of course!"),
        ("emoji", "Well done \U0001f389"),
    ],
)
def test_a_mark_is_found(name: str, text: str) -> None:
    """Each mark is seen in a text that has it."""
    assert STYLES[name](text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("markdown", "Two * three * four, and #1 of them."),
        ("markdown", "```\n# a comment\n```"),
        ("list", "- one dash alone\nand nothing more"),
        ("code", "It's 5 o'clock."),
        ("refusal phrase", "I can't wait to help you."),
        ("preachy phrase", "Boil the eggs for ten minutes."),
        ("question at the end", "Is it so? It is."),
        ("first person", "In Roman numerals, IV is four."),
        ("apology", "The sorrow was great."),
        ("emoji", "5 \u2192 6, and a dash \u2013 or two."),
        ("exclamation mark", "No."),
    ],
)
def test_what_resembles_a_mark_is_none(name: str, text: str) -> None:
    """What only looks alike is no mark."""
    assert not STYLES[name](text)


@pytest.mark.parametrize(
    ("name", "part"), [("list", "\n"), ("markdown", "["), ("markdown", "[a]("), ("markdown", "| ")]
)
def test_a_long_text_takes_no_longer_than_it_is(name: str, part: str) -> None:
    """No mark is looked for in the same stretch from each place in it: texts of a file may be of any length."""
    begun = time.perf_counter()
    assert not STYLES[name](part * 40_000 + "x")
    assert time.perf_counter() - begun < 2.0  # many times what it takes; by the square it would be minutes
