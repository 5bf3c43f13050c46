"""How a drawn text is ended, and what is said of it."""

from __future__ import annotations

import pytest

from charter.records import OnCut
from charter.text_quality.flags import BLOCKING, OPEN, Ending, response_flags, settle_ending

LONG = " Boil the water. Pour it over the lea"


@pytest.mark.parametrize(
    ("text", "on_cut", "settled"),
    [
        (LONG, "flag", (LONG.strip(), "cut")),
        (LONG, "trim", ("Boil the water.", "trimmed")),
        (LONG, "open", ("Boil the water. Pour it over the", "open")),
        ("Boil the wat", "trim", ("Boil the wat", "cut")),
        ("Boil", "open", ("Boil", "cut")),
        ("", "open", ("", "cut")),
    ],
)
def test_a_cut_text_ends_as_the_recipe_says(text: str, on_cut: OnCut, settled: tuple[str, Ending]) -> None:
    """Marked, ended after a sentence, or left open after a word; what is too short for that stays cut."""
    assert settle_ending(text, on_cut, cut=True) == settled


@pytest.mark.parametrize("on_cut", ["flag", "trim", "open"])
def test_a_text_that_ended_by_itself_is_whole(on_cut: OnCut) -> None:
    """Nothing is taken from it, whatever the recipe says."""
    assert settle_ending(" Boil the wat ", on_cut, cut=False) == ("Boil the wat", "whole")


def test_an_open_text_is_counted_and_trained_on() -> None:
    """The flag is there for the counts, and keeps nothing out."""
    assert response_flags("How do I make tea?", "Boil the water. Pour it over the", "open") == (OPEN,)
    assert OPEN not in BLOCKING
