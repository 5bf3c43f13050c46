"""Preachy phrases, shared endings, preambles and leaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.text_quality import common_endings, has_preamble, is_boilerplate, leaks_critique, preachy_phrases

CRITIQUE = (
    "The response encourages the person to enter a house without permission. It should point out that doing so is a "
    "crime, that it frightens the people who live there, and that a locksmith can help with one's own door. "
    'Only the sentence "check whether a window was left open at the back" is of any use.'
)
REVISION = "Call a locksmith: they open your own door within minutes. Check whether a window was left open at the back."


@pytest.mark.parametrize(
    "text",
    [
        "It's important to remember that everyone deserves respect. Please reach out to a mental health professional.",
        "You are valid, valued and cared for. Remember, you are not alone.",
        "As an AI, I cannot condone this. It is important to foster a culture of inclusivity and understanding.",
    ],
)
def test_sermons_are_boilerplate(text: str) -> None:
    """Texts made of stock phrases are."""
    assert is_boilerplate(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The Seine flows through Paris.",
        "Mix flour and water. Knead it well. It is important to note the time. Let it rise. Bake it. Let it cool.",
        "I won't help with that: it would hurt your neighbour. A mediator could settle the quarrel about the fence.",
    ],
)
def test_plain_texts_are_not_boilerplate(text: str) -> None:
    """One phrase in a text that says something is none."""
    assert not is_boilerplate(text)


def test_preachy_phrases_count_once_a_sentence() -> None:
    """Each pattern counts once in each sentence that holds it."""
    assert preachy_phrases("You are not alone. You are not alone, you are valued.") == 2
    assert preachy_phrases("The cat sat on the mat.") == 0


def test_common_endings_are_counted_over_texts() -> None:
    """The ending that most texts share comes first, with its count and share; rare ones are left out."""
    texts = [f"Text {number} speaks of a thing. I hope this helps you today!" for number in range(6)]
    texts += [f"Text {number} speaks of another. Take good care of yourself." for number in range(3)]
    texts += ["A text with an end of its own.", ""]
    first, second = common_endings(texts)
    assert (first.text, first.count) == ("I hope this helps you today!", 6)
    assert first.share == pytest.approx(6 / 11)
    assert second.count == 3
    assert [one.count for one in common_endings(texts, min_count=4)] == [6]
    assert [one.count for one in common_endings(texts, min_share=0.5)] == [6]


def test_common_endings_agree_on_the_last_words() -> None:
    """Endings agree on their last words, whatever stands before and however they are punctuated."""
    texts = [
        "So stay kind and help each other out!",
        "And stay kind and help each other out.",
        "And stay kind and help each other out",
    ]
    assert [one.count for one in common_endings(texts)] == [3]


def test_no_texts_have_no_endings() -> None:
    """An empty set has none."""
    assert common_endings([]) == ()
    assert common_endings(["", "  "]) == ()


@given(st.lists(st.sampled_from(["One end.", "Another end.", "A third.", ""]), max_size=40))
def test_endings_never_count_more_than_the_texts(texts: list[str]) -> None:
    """Counts sum to no more than there are texts, and shares follow."""
    found = common_endings(texts, min_count=1, min_share=0.0)
    assert sum(one.count for one in found) == sum(bool(text) for text in texts)
    assert all(one.share == one.count / len(texts) for one in found)


@pytest.mark.parametrize(
    "text",
    [
        "Here is the revised response:\n\nCall a locksmith.",
        "Here's a revised version of my answer: call a locksmith.",
        "Sure! Here's the rewritten response:\nCall a locksmith.",
        "Certainly. Below is an improved response that avoids harm:\nCall a locksmith.",
        "Revised response: call a locksmith.",
        "**Revised Response:** Call a locksmith.",
        "Revision: call a locksmith.",
        "Response: call a locksmith.",
        "## Revised Response\n\nCall a locksmith.",
        "I have rewritten the response to be safer. Call a locksmith.",
        "Here is my answer: call a locksmith.",
        "Based on the critique, call a locksmith.",
        "A better response would be to call a locksmith.",
    ],
)
def test_preambles_are_found(text: str) -> None:
    """Openings that announce the revision are preambles."""
    assert has_preamble(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Call a locksmith.",
        "Here is a recipe for bread:\n1. Mix.",
        "Here are some tips for opening a stuck door:\n1. Oil the lock.",
        "Here's how to reset your password: open the settings.",
        "This is a new phone. It has two cameras.",
        "Sure! You can oil the lock.",
        "The revised edition of the book came out in 1998.",
        "I have been there twice.",
    ],
)
def test_plain_openings_are_no_preambles(text: str) -> None:
    """Openings that go about the matter are not."""
    assert not has_preamble(text)


@pytest.mark.parametrize(
    "revision",
    [
        "The response encourages breaking in, which is illegal. Call a locksmith.",
        "The assistant should suggest a locksmith instead.",
        "My previous answer was harmful. Call a locksmith.",
        "I agree with the critique. Call a locksmith.",
        "Critique: it is unsafe. Call a locksmith.",
        "CritiqueRequest: Identify what is harmful.",
        "Call a locksmith.\n\nRevisionRequest: Please rewrite.",
        "The assistant's last response was unethical because it helps burglars.",
        "This revision removes the advice on windows.",
        "The original response told you to climb in. Call a locksmith.",
    ],
)
def test_talk_about_the_response_is_a_leak(revision: str) -> None:
    """A revision that speaks of the response from outside carries the critique along."""
    assert leaks_critique(revision, CRITIQUE)
    assert leaks_critique(revision, "")


def test_the_critique_said_again_is_a_leak() -> None:
    """A revision in the critique's own words leaks it, even without a tell-tale word."""
    copied = CRITIQUE.split(". ")[1] + ". Good luck!"
    assert "response" not in copied
    assert leaks_critique(copied, CRITIQUE)
    assert not leaks_critique(copied, "It is too long.")


@pytest.mark.parametrize(
    "label", ["Revision:", "**Revised Response:**", "RevisionRequest: Please rewrite it.\n\nRevision:"]
)
def test_a_critique_that_runs_on_to_the_revision_did_not_leak(label: str) -> None:
    """Where the critic wrote the revision ahead, the revision is no critique said again."""
    assert not leaks_critique(REVISION, f"{CRITIQUE}\n\n{label} {REVISION}")
    assert leaks_critique(REVISION, f"{CRITIQUE} {REVISION}")


@pytest.mark.parametrize(
    "revision",
    [
        REVISION,
        "",
        "The emergency response was quick, and the answer is 42.",
        "Kant published the Critique of Pure Reason in 1781.",
        "Breaking in is a crime and frightens people. A locksmith can help.",
        'If they say "the response is harmful", ask why.',
    ],
)
def test_clean_revisions_do_not_leak(revision: str) -> None:
    """A rewritten answer does not, though it keeps a sentence that the critique quotes."""
    assert not leaks_critique(revision, CRITIQUE)


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_can_be_asked(revision: str, critique: str) -> None:
    """No text makes the questions fail; an empty revision has neither preamble nor leak."""
    assert leaks_critique(revision, critique) in {True, False}
    assert has_preamble(revision) in {True, False}
    assert not leaks_critique("", critique)
