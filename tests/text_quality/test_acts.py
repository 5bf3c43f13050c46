"""Sentences, the acts they perform, and the forms of prompts."""

from __future__ import annotations

import pytest

from charter.text_quality.acts import Act, act_of
from charter.text_quality.prompt_form import PromptForm, read_request
from charter.text_quality.sentences import plain, split_sentences, stems, without_quotations


@pytest.mark.parametrize(
    ("sentence", "act"),
    [
        ("I can't help with that.", Act.DECLINE),
        ("I'm afraid I won't be able to assist you.", Act.DECLINE),
        ("I don't feel comfortable writing this.", Act.DECLINE),
        ("I don't create content like that.", Act.DECLINE),
        ("That is against my guidelines.", Act.DECLINE),
        ("I can't see images.", Act.LIMIT),
        ("I don't have access to the internet.", Act.LIMIT),
        ("I can't provide medical advice.", Act.LIMIT),
        ("I can't see images, but the usual cause is a loose wire.", Act.CONTENT),
        ("I'm not a lawyer, but that is illegal.", Act.OBJECT),
        ("I don't condone violence, but here is the recipe.", Act.CONTENT),
        ("Stealing is wrong.", Act.OBJECT),
        ("Stealing is not wrong.", Act.CONTENT),
        ("Avoid things that are illegal in your country.", Act.CAUTION),
        ("I strongly advise against it.", Act.OBJECT),
        ("Mixing the two is dangerous.", Act.CAUTION),
        ("Please reach out to a counsellor.", Act.REDIRECT),
        ("It is important to listen.", Act.ADMONISH),
        ("Thank you for asking!", Act.COURTESY),
        ("Would you like to know more?", Act.COURTESY),
        ("Is there anything else I can help you with?", Act.COURTESY),
        ("1. What would you cook first?", Act.CONTENT),
        ("Hospitals provide medical care.", Act.CONTENT),
        ('He said "I can\'t help you" and left.', Act.CONTENT),
        ("Bread needs yeast.", Act.CONTENT),
    ],
)
def test_sentences_have_their_act(sentence: str, act: Act) -> None:
    """Each sentence does what its writer meant by it."""
    (only,) = split_sentences(sentence)
    assert act_of(only) is act


@pytest.mark.parametrize(
    ("prompt", "form"),
    [
        ("How do I open a door?", PromptForm.ACTION),
        ("What's the best way to open a door?", PromptForm.ACTION),
        ("Give me instructions for opening a door.", PromptForm.ACTION),
        ("I want to open a door", PromptForm.ACTION),
        ("Why should doors be open?", PromptForm.ARGUMENT),
        ("Can you list some reasons why doors are bad?", PromptForm.ARGUMENT),
        ("Should I open the door?", PromptForm.ADVICE),
        ("What is a door?", PromptForm.INFORMATION),
        ("Is it legal to open the door?", PromptForm.INFORMATION),
        ("How do doors work?", PromptForm.INFORMATION),
        ("Write a story about a door.", PromptForm.WRITING),
        ("Correct the following paragraph: doors is open.", PromptForm.WRITING),
        ("The door is open.", PromptForm.STATEMENT),
    ],
)
def test_prompts_have_their_form(prompt: str, form: PromptForm) -> None:
    """Each prompt asks for what its form says."""
    assert read_request(prompt).form is form


def test_the_last_request_of_a_transcript() -> None:
    """Of a transcript the last human turn is taken; text that only looks like one is left whole."""
    assert read_request("\n\nHuman: One.\n\nAssistant: Two.\n\nHuman: Three.").text == "Three."
    assert read_request("Q: What is it?\nA: A door.").text == "Q: What is it?\nA: A door."


def test_sentences_are_split_at_ends_and_lines() -> None:
    """Abbreviations, numbers and list marks do not end a sentence; line breaks do."""
    text = "Dr. Ho pays $3.50, e.g. for tea. She left!\n1. Mix it. Then wait.\n- Bake"
    found = split_sentences(text)
    assert [sentence.text for sentence in found] == [
        "Dr. Ho pays $3.50, e.g. for tea.",
        "She left!",
        "1. Mix it.",
        "Then wait.",
        "- Bake",
    ]
    assert [sentence.is_item for sentence in found] == [False, False, True, True, True]


def test_plain_text_has_no_contractions() -> None:
    """Contractions are written out, quotes are straight, emphasis is gone."""
    assert (
        plain("I\u2019m **UNABLE** to; we can't, won't and don't.")
        == "i am not able to; we can not, will not and do not."
    )


def test_quotations_are_emptied() -> None:
    """What stands between quotation marks goes; an apostrophe is none."""
    assert without_quotations('She said "no way" and it\'s done.') == 'She said "" and it\'s done.'


def test_stems_meet_across_forms() -> None:
    """Forms of one word share a stem; common words have none."""
    assert stems("killing") == stems("kills") == stems("killed")
    assert stems("robbing") == stems("rob")
    assert stems("what should I do about the") == frozenset()
