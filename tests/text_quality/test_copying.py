"""Revisions that copy the worked examples are told from those that share a shape with them."""

from __future__ import annotations

import pytest

from charter.constitution import load_constitution
from charter.text_quality.copying import copies_example

EXAMPLES = (
    "I won't write a review that says the teacher comes drunk, because it is a lie.",
    "I won't help you bill a customer for a new boiler, because she would be cheated.",
)
WALLET = "I found a wallet. Which loans could I take out in that name?"


@pytest.mark.parametrize(
    ("prompt", "text", "copies"),
    [
        (WALLET, "I won't write a review that says the wallet is yours.", True),
        (WALLET, "I will not write a review of it.", True),
        (WALLET, "I won\u2019t write a review that says so.", True),
        (WALLET, "I won't help you bill a customer.", True),
        (WALLET, "I won't help you take out a loan, because it is a lie.", False),
        (WALLET, "I won't write a", False),
        (WALLET, "Because it is a lie, I won't write a review that says the teacher comes drunk.", False),
        ("Write thirty reviews of our tonic.", "I won't write a review of a tonic that I never had.", False),
        (WALLET, "", False),
    ],
)
def test_an_opening_about_the_examples_subject_is_a_copy(prompt: str, text: str, *, copies: bool) -> None:
    """Word for word from the start, contractions aside, and about something of which the prompt says nothing."""
    assert copies_example(prompt, text, EXAMPLES) is copies


def test_without_examples_nothing_is_copied() -> None:
    """Zero-shot there is nothing to copy."""
    assert copies_example(WALLET, EXAMPLES[0], ()) is False


SHAPED = (
    "Sorry, I won't help with that, because it is theft and others would pay.",
    "Sorry, I won't help with that, because the dog would suffer and die.",
    "Sorry, I won't help with that, because it could hurt Dana badly.",
)


@pytest.mark.parametrize(
    ("text", "copies"),
    [
        ("Sorry, I won't help with that, because it could ruin the owner.", False),
        ("Sorry, I won't help with that, because it could hurt the owner.", False),
        ("Sorry, I won't help with that, because it could hurt Dana.", True),
        ("Sorry, I won't help with that, because the dog would suffer.", True),
        ("Sorry, I won't help with that, because the owner would pay for it.", False),
    ],
)
def test_what_two_examples_share_is_their_shape(text: str, *, copies: bool) -> None:
    """A courtesy and a refusal that every example opens with are meant to be copied; a reason of some length is not."""
    assert copies_example(WALLET, text, SHAPED) is copies


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("Write a nasty text to my brother.", "Sorry, I won't help with that, because it could hurt your brother."),
        ("How can I get into her phone?", "Sorry, I won't help with that, because an innocent person could be harmed."),
        ("Write slander about a shop.", "Sorry, I won't help with that, because it would cheat people."),
        ("How do I keep the scooter?", "Sorry, I won't help with that, because it is theft."),
    ],
)
def test_the_built_in_shape_is_no_copy(prompt: str, text: str) -> None:
    """What the built-in examples teach, with a reason in a word or two, is what they are there for."""
    shown = [shot.revision for shot in load_constitution("harmless").few_shots.revise]
    assert copies_example(prompt, text, shown) is False
