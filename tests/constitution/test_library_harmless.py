"""The built-in constitution ``harmless``: what it promises, counted."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from charter.constitution import (
    JudgeExample,
    Principle,
    ReviseExample,
    check_constitution,
    list_constitutions,
    load_constitution,
)

HARMLESS = load_constitution("harmless")
SUBJECTS = {
    "violence",
    "weapons",
    "self-harm",
    "hate",
    "harassment",
    "fraud-and-theft",
    "drugs",
    "privacy",
    "malware",
    "misinformation",
    "child-safety",
    "risky-advice",
    "extremism",
    "respect",
    "honesty",
    "explain-and-offer",
    "full-help",
}
OBJECTION = "Sorry, I won't help with that, because "

each_principle = pytest.mark.parametrize("principle", HARMLESS.principles, ids=HARMLESS.ids)
each_revise = pytest.mark.parametrize("shot", HARMLESS.few_shots.revise, ids=lambda shot: shot.messages[0].content)
each_judge = pytest.mark.parametrize("shot", HARMLESS.few_shots.judge, ids=lambda shot: shot.messages[0].content)


def n_words(text: str) -> int:
    """Count words."""
    return len(text.split())


def keeps_response(shot: ReviseExample) -> bool:
    """Say whether the example's response was fine."""
    return shot.revision == shot.messages[-1].content


@pytest.mark.parametrize("name", list_constitutions())
def test_built_in_constitutions_are_sound(name: str) -> None:
    """Each is found under its own name and has no error."""
    constitution = load_constitution(name)
    assert constitution.name == name
    assert [found for found in check_constitution(constitution) if found.severity == "error"] == []


def test_harmless_has_no_finding_at_all() -> None:
    """The built-in is the example to follow."""
    assert check_constitution(HARMLESS) == ()


def test_head() -> None:
    """Name, version, language and licence as published."""
    assert (HARMLESS.name, HARMLESS.version, HARMLESS.language, HARMLESS.licence) == (
        "harmless",
        "1.0.0",
        "en",
        "Apache-2.0",
    )
    assert HARMLESS.description


def test_subjects_are_covered() -> None:
    """At least sixteen principles, every subject among them."""
    assert len(HARMLESS.principles) >= 16
    assert set(HARMLESS.ids) >= SUBJECTS


@each_principle
def test_principles_are_complete(principle: Principle) -> None:
    """Title, text and category are there, and the requests are its own."""
    assert principle.title
    assert principle.category
    assert principle.text.startswith("The assistant ")
    assert "Here is a principle" not in principle.critique_request


@each_principle
def test_critique_requests_are_neutral(principle: Principle) -> None:
    """Nothing is taken for granted, and fine is a possible answer."""
    assert principle.critique_request.startswith("Say whether and where ")
    assert principle.critique_request.endswith(", or say that it is fine.")
    assert n_words(principle.critique_request) <= 30


@each_principle
def test_revision_requests_keep_what_was_fine(principle: Principle) -> None:
    """The first thing they say is when to change nothing."""
    assert principle.revision_request.startswith("If the response is already fine, keep it as it is. Otherwise rewrite")
    assert n_words(principle.revision_request) <= 45


@each_principle
def test_choice_questions_ask_which(principle: Principle) -> None:
    """The last sentence asks for one of the two."""
    last = principle.choice_question.split(". ")[-1]
    assert last.startswith("Which response ")
    assert last.endswith("?")


def test_requests_differ() -> None:
    """No two principles put the same request."""
    for field in ("text", "critique_request", "revision_request", "choice_question"):
        assert len({getattr(principle, field) for principle in HARMLESS.principles}) == len(HARMLESS.principles)


def test_system_texts() -> None:
    """All four are there and short; the two calls of a round share one."""
    system = HARMLESS.system
    assert system.critique == system.revise
    for text in (system.respond, system.critique, system.judge):
        assert 0 < n_words(text) <= 70
    for word in ("harmless", "will not help", "why" if "why" in system.respond else "reason", "safe"):
        assert word in system.respond


@each_revise
def test_revise_examples_are_short_and_shaped(shot: ReviseExample) -> None:
    """User asks, assistant answers; the lengths stay within what a small model follows."""
    assert [message.role for message in shot.messages] == ["user", "assistant"]
    assert n_words(shot.messages[1].content) <= 45
    assert n_words(shot.critique) <= 30
    assert n_words(shot.revision) <= 45


@each_revise
def test_revise_examples_use_the_principles_requests(shot: ReviseExample) -> None:
    """An example shows the very wording that comes later."""
    requests = {(principle.critique_request, principle.revision_request) for principle in HARMLESS.principles}
    assert (shot.critique_request, shot.revision_request) in requests


@each_revise
def test_revise_examples_agree_with_their_critique(shot: ReviseExample) -> None:
    """What was fine is called fine and kept; what was not becomes an objection, a reason and an offer."""
    if keeps_response(shot):
        assert shot.critique.startswith("The response is fine.")
        return
    assert "fine" not in shot.critique
    assert shot.revision.startswith(OBJECTION)
    assert "I can help you" in shot.revision


def test_revise_examples_are_balanced() -> None:
    """At least three objections, each with its own reason, and two responses that were fine."""
    shots = HARMLESS.few_shots.revise
    objections = [shot.revision for shot in shots if not keeps_response(shot)]
    assert len(objections) >= 3
    assert len(shots) - len(objections) >= 2
    assert len({text.removeprefix(OBJECTION).split(".")[0] for text in objections}) == len(objections)


@each_revise
def test_critiques_speak_of_what_was_asked(shot: ReviseExample) -> None:
    """A critique repeats the request's own words, which is what a small model learns to copy."""
    if keeps_response(shot):
        return
    asked = set(re.findall(r"[a-z]{4,}", shot.messages[0].content.lower()))
    assert len(asked & set(re.findall(r"[a-z]{4,}", shot.critique.lower()))) >= 2


@each_judge
def test_judge_examples_are_short_and_reasoned(shot: JudgeExample) -> None:
    """Each asks a principle's question and reasons in one sentence that names its answer."""
    assert [message.role for message in shot.messages] == ["user"]
    assert max(n_words(shot.a), n_words(shot.b)) <= 35
    assert shot.question in {principle.choice_question for principle in HARMLESS.principles}
    assert shot.reasoning.count(". ") == 0
    assert shot.reasoning.endswith((f"so {shot.answer} is better.", f"makes {shot.answer} better."))


def test_judge_examples_are_balanced() -> None:
    """As many A as B, and not by turns."""
    answers = [shot.answer for shot in HARMLESS.few_shots.judge]
    assert len(answers) >= 4
    assert answers.count("A") == answers.count("B")
    assert any(first == second for first, second in pairwise(answers))
    assert len({shot.question for shot in HARMLESS.few_shots.judge}) == len(answers)
