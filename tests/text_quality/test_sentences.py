"""How texts are seen: plain form, sentences, and patterns that are gathered behind one mark."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.text_quality.patterns import any_of
from charter.text_quality.prompt_form import PromptForm, read_request
from charter.text_quality.sentences import plain, split_sentences, stems, without_quotations, words

NEGATED = ("do", "does", "did", "is", "are", "was", "were", "would", "could", "should", "have", "has", "had")
ALTERNATIVES = (r"\bab", r"\bb+a\b", "^a", "^(?:b|c)a$", "c.c", r"(?<!a)b$")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *((f"They {verb}{end}.", f"they {verb} not.") for verb in NEGATED for end in ("n't", "nt", "n\u2019t")),
        *((f"I {verb} say", "i can not say") for verb in ("cannot", "can't", "cant", "CAN\u2019T")),
        *((f"I {verb} say", "i will not say") for verb in ("won't", "wont")),
        *((f"It {verb} so", "it is not so") for verb in ("ain't", "aint")),
        *((f"{verb} here", "i am here") for verb in ("I'm", "Im", "I\u2019m")),
        *((f"{who}'s here", f"{who.lower()} is here") for who in ("It", "That", "What", "who")),
        ("Let's go", "let us go"),
        ("You're sure they've said we'll say I'd", "you are sure they have said we will say i would"),
        ("I am unable to say", "i am not able to say"),
        ("**So** __what__\n\tnow? ", "so what now?"),
        ("The cat's important aunt can wander", "the cat's important aunt can wander"),
    ],
)
def test_contractions_are_written_out(written: str, meant: str) -> None:
    """Each is, with a straight, a curly or no apostrophe; what only looks like one is left."""
    assert plain(written) == meant


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "go." Then he left.', ['He said "go.', "Then he left."]),
        ("Ask Dr. Smith, Prof. J. Brown etc. Then wait.", ["Ask Dr. Smith, Prof. J. Brown etc. Then wait."]),
        ("12345678. Knead it. Bake it.", ["12345678. Knead it.", "Bake it."]),
        ("1. Mix. 2. Knead.", ["1. Mix.", "2. Knead."]),
        ("\u4e2d\u6587\u3002\u597d\uff01", ["\u4e2d\u6587\u3002", "\u597d\uff01"]),
        ("no capital. follows", ["no capital. follows"]),
    ],
)
def test_sentences_end_where_they_do(text: str, sentences: list[str]) -> None:
    """Abbreviations, initials and numbers end none; signs of other scripts do."""
    assert [sentence.text for sentence in split_sentences(text)] == sentences


@given(st.text(alphabet="I can't \"say 'no'. \u2019"))
def test_forms_of_a_sentence_are_those_of_its_text(text: str) -> None:
    """What a sentence makes of itself when first read is what the functions make of its text."""
    for sentence in split_sentences(text):
        assert sentence.plain == plain(sentence.text)
        assert sentence.plain_unquoted == plain(without_quotations(sentence.text))
        assert sentence.words == words(sentence.text)


@given(st.text(alphabet="abc ", max_size=12))
def test_gathered_alternatives_find_what_each_finds(text: str) -> None:
    """One mark before many changes the speed and nothing else."""
    each = any(re.search(pattern, text) is not None for pattern in ALTERNATIVES)
    assert (any_of(*ALTERNATIVES).search(text) is not None) == each
    assert (any_of(any_of(*ALTERNATIVES[:3]), *ALTERNATIVES[3:]).search(text) is not None) == each


def test_mark_before_two_alternatives_is_refused() -> None:
    """The mark of the first would be taken for both."""
    with pytest.raises(ValueError, match="one by one"):
        any_of(r"\bone|two")


def test_request_is_the_last_human_turn() -> None:
    """Its forms are those of that turn alone."""
    request = read_request("\n\nHuman: How do I bake?\n\nAssistant: Slowly.\n\nHuman: Who killed Caesar? ")
    assert request.text == "Who killed Caesar?"
    assert (request.form, request.names_harm, request.is_one_turn) == (PromptForm.INFORMATION, True, False)
    assert request.stems == stems("Caesar killing")
    assert read_request(" Who? ").is_one_turn
