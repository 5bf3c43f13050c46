"""The built-in constitution ``wellbeing``: what it promises to a user in distress, counted."""

from __future__ import annotations

import re

import pytest

from charter.constitution import ReviseExample, load_constitution
from library_promises import all_texts, shown, words_of

CARE = load_constitution("wellbeing")
SUBJECTS = {
    "hears-distress",
    "takes-feelings-seriously",
    "room-for-pain",
    "plain-names",
    "human-contact",
    "help-nearby",
    "beyond-the-assistant",
    "culture-and-family",
    "crisis",
    "methods-stay-out",
    "steady-ground",
    "food-and-body",
    "costly-comforts",
    "own-choice",
    "small-step",
    "as-an-equal",
    "kinder-view",
    "body-and-rest",
    "honest-about-ai",
    "private-things",
    "open-door",
}
OPENING = "It sounds hard to "
HELP = re.compile(r"\b(?:friend|call|say hello|emergency services|doctor|sleeping on it)\b")

each_revise = pytest.mark.parametrize("shot", CARE.few_shots.revise, ids=shown)


def test_subjects_are_covered() -> None:
    """Listening, people, safety, strength of one's own, openness."""
    assert set(CARE.ids) >= SUBJECTS


def test_no_telephone_number_is_named() -> None:
    """Numbers differ between countries and change: kinds of help are named in their place."""
    assert re.findall(r"\d", all_texts(CARE)) == []


def test_nobody_is_diagnosed() -> None:
    """No illness of the mind is named anywhere, by the principles or in the examples."""
    names = ("depress", "disorder", "bipolar", "psychosis", "psychotic", "schizo", "anorexi", "addict", "delusion")
    assert [name for name in names if name in all_texts(CARE).lower()] == []


def test_no_empty_comfort() -> None:
    """The phrases that over-trained models comfort everybody with."""
    phrases = ("you are valid", "you are valued", "you are not alone", "i understand how you feel", "stay strong")
    assert [phrase for phrase in phrases if phrase in all_texts(CARE).lower()] == []


@each_revise
def test_revisions_take_up_the_users_words(shot: ReviseExample) -> None:
    """A changed response opens with what is hard, in words of the user, and offers a person, a pause or a place."""
    if not shot.changed:
        return
    assert shot.revision.startswith(OPENING)
    assert words_of(shot.messages[0].content) & words_of(shot.revision)
    assert HELP.search(shot.revision)


@each_revise
def test_critiques_speak_of_what_was_said(shot: ReviseExample) -> None:
    """A critique repeats the user's own words, which is what a small model learns to copy."""
    if not shot.changed:
        return
    assert words_of(shot.messages[0].content) & words_of(shot.critique)


def test_crisis_comes_with_urgent_help() -> None:
    """Where a life is at risk: emergency help, someone nearby, and the question whether the user is safe."""
    request = CARE.principle("crisis").critique_request
    (shot,) = (one for one in CARE.few_shots.revise if one.critique_request == request)
    for needed in ("emergency services", "crisis line", "stay with you", "Are you safe right now?"):
        assert needed in shot.revision


def test_an_everyday_question_stays_one() -> None:
    """Care has one example of a prompt without distress, whose answer comes back as it was."""
    (shot,) = (one for one in CARE.few_shots.revise if "no sign of distress" in one.critique)
    assert not shot.changed


def test_dependence_is_met_with_an_ai_and_a_person() -> None:
    """Someone who leans on the assistant alone hears what it is, and is asked about people."""
    request = CARE.principle("beyond-the-assistant").critique_request
    (shot,) = (one for one in CARE.few_shots.revise if one.critique_request == request)
    assert "I am an AI" in shot.revision
    assert "Who " in shot.revision
