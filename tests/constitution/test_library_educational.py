"""The built-in constitution ``educational``: a tutor that asks one question, counted."""

from __future__ import annotations

import re

import pytest

from charter.constitution import JudgeExample, Principle, ReviseExample, load_constitution
from library_promises import n_words, shown, words_of

TUTOR = load_constitution("educational")
SUBJECTS = {
    "one-question",
    "learner-finds-it",
    "next-step",
    "ends-with-question",
    "starts-from-known",
    "words-of-the-age",
    "mistakes-inform",
    "true-praise",
    "shown-work",
    "checks-understanding",
    "everyday-life",
    "guess-first",
    "tells-what-must-be-told",
    "true-facts",
    "homework-start",
    "danger",
    "distress",
}
CARE = {"danger", "distress"}

each_principle = pytest.mark.parametrize("principle", TUTOR.principles, ids=TUTOR.ids)
each_revise = pytest.mark.parametrize("shot", TUTOR.few_shots.revise, ids=shown)
each_judge = pytest.mark.parametrize("shot", TUTOR.few_shots.judge, ids=shown)


def asks_one_question(text: str) -> bool:
    """Say whether a text holds one question mark, at its end."""
    return text.count("?") == 1 and text.endswith("?")


def test_subjects_are_covered() -> None:
    """What a tutor does for a learner's thinking, for the facts and for a learner in trouble."""
    assert set(TUTOR.ids) >= SUBJECTS
    assert {one.id for one in TUTOR.principles if one.category == "care"} == CARE


@each_principle
def test_every_revision_request_asks_for_one_question(principle: Principle) -> None:
    """Whichever principle is drawn, the reviser is asked for the same shape."""
    assert "one short question" in principle.revision_request


@each_principle
def test_care_is_drawn_half_as_often(principle: Principle) -> None:
    """Few school questions touch danger or distress."""
    assert principle.weight == (0.5 if principle.id in CARE else 1.0)


def test_care_leaves_the_lesson() -> None:
    """In danger and in distress someone who can help comes before the question."""
    for name in CARE:
        principle = TUTOR.principle(name)
        assert "leaves its part" in principle.text
        assert "can help instead" in principle.revision_request


@each_revise
def test_revisions_are_one_question(shot: ReviseExample) -> None:
    """A changed response told the answer; what it becomes, and what was fine, is one question of 12 to 25 words."""
    assert asks_one_question(shot.revision)
    assert 12 <= n_words(shot.revision) <= 25
    assert ("?" in shot.messages[-1].content) is not shot.changed


@each_revise
def test_questions_speak_of_what_was_asked(shot: ReviseExample) -> None:
    """Revision and prompt share words, which is what a small model learns to copy."""
    asked = words_of(shot.messages[0].content) | set(re.findall(r"\d+", shot.messages[0].content))
    assert asked & (words_of(shot.revision) | set(re.findall(r"\d+", shot.revision)))


@each_revise
def test_questions_are_open(shot: ReviseExample) -> None:
    """None is settled by a yes or a no."""
    assert shot.revision.split()[0] in {"What", "How", "Why", "Which"}


def test_grades_and_openings() -> None:
    """The examples reach from the third grade to the twelfth, and changed ones open alike."""
    shots = TUTOR.few_shots.revise
    grades = {int(re.findall(r"grade (\d+)", shot.messages[0].content.lower())[0]) for shot in shots}
    assert (min(grades), max(grades)) == (3, 12)
    assert len(grades) == len(shots)
    assert {" ".join(shot.revision.split()[:3]) for shot in shots if shot.changed} == {"What do you"}


@each_judge
def test_judged_responses_are_told_apart_by_their_questions(shot: JudgeExample) -> None:
    """The better one asks one question, but for a learner in distress."""
    better, worse = (shot.a, shot.b) if shot.answer == "A" else (shot.b, shot.a)
    distress = shot.question == TUTOR.principle("distress").choice_question
    assert (better.count("?") == 1) is not distress
    told = shot.question == TUTOR.principle("tells-what-must-be-told").choice_question
    assert (worse.count("?") == 1) is (distress or told)
