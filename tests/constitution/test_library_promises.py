"""The built-in constitutions ``educational``, ``wellbeing`` and ``honest``: what all of them promise, counted."""

from __future__ import annotations

from itertools import pairwise

import pytest

from charter.constitution import Constitution, check_constitution, load_constitution
from library_promises import FINE, KEEPS, all_texts, n_words
from pages import code_in, sections, table_rows

WRITTEN = tuple(load_constitution(name) for name in ("educational", "wellbeing", "honest"))
PAGES = (*WRITTEN, load_constitution("harmless"), load_constitution("helpful"))

COUNTRIES = (load_constitution("south_africa"), load_constitution("romania"))

each = pytest.mark.parametrize("constitution", WRITTEN, ids=lambda one: one.name)
each_of_all = pytest.mark.parametrize("constitution", [*WRITTEN, *COUNTRIES], ids=lambda one: one.name)


@each_of_all
def test_no_finding_at_all(constitution: Constitution) -> None:
    """What ships is an example to follow."""
    assert check_constitution(constitution) == ()


@each_of_all
def test_heads(constitution: Constitution) -> None:
    """Version, language and licence as published, and a sentence on what it is for."""
    assert (constitution.version, constitution.language, constitution.licence) == ("1.0.0", "en", "Apache-2.0")
    assert constitution.description.endswith(".")


@each
def test_principles_are_complete(constitution: Constitution) -> None:
    """At least sixteen in a few categories, each with a title, and requests of its own."""
    assert len(constitution.principles) >= 16
    assert 3 <= len({one.category for one in constitution.principles}) <= 5
    for one in constitution.principles:
        assert one.title
        assert one.category
        assert 15 <= n_words(one.text) <= 40
        assert "Here is a principle" not in one.critique_request


@each
def test_texts_say_who_does_what(constitution: Constitution) -> None:
    """A principle describes behaviour: it names the assistant, or the tutor, and bans nothing."""
    who = "tutor" if constitution.name == "educational" else "assistant"
    for one in constitution.principles:
        assert f" {who}" in one.text, one.id
        assert not {"never", "not", "avoid", "avoids"} & set(one.text.lower().split()[:6]), one.id


@each
def test_critique_requests_are_neutral(constitution: Constitution) -> None:
    """Nothing is taken for granted, and fine is a possible answer."""
    for one in constitution.principles:
        assert one.critique_request.startswith("Say whether and where the response ")
        assert one.critique_request.endswith(", or say that it is fine.")
        assert n_words(one.critique_request) <= 35


@each
def test_revision_requests_keep_what_was_fine(constitution: Constitution) -> None:
    """The first thing they say is when to change nothing."""
    for one in constitution.principles:
        assert one.revision_request.startswith(KEEPS)
        assert n_words(one.revision_request) <= 40


@each
def test_choice_questions_ask_which(constitution: Constitution) -> None:
    """The last sentence asks for one of the two."""
    for one in constitution.principles:
        asking = one.choice_question.rsplit(". ", 1)[-1].rsplit("? ", 1)[-1]
        assert asking.startswith("Which response ")
        assert asking.endswith("?")


@each
def test_requests_differ(constitution: Constitution) -> None:
    """No two principles put the same request."""
    for field in ("title", "text", "critique_request", "revision_request", "choice_question"):
        assert len({getattr(one, field) for one in constitution.principles}) == len(constitution.principles)


@each
def test_system_texts(constitution: Constitution) -> None:
    """All four are there and short; the two calls of a round share one."""
    system = constitution.system
    assert system.critique == system.revise
    for text in (system.respond, system.critique, system.judge):
        assert 0 < n_words(text) <= 75


@each
def test_revise_examples_are_short_and_shaped(constitution: Constitution) -> None:
    """User asks, assistant answers; what is told beside the requests stays under ninety words."""
    for one in constitution.few_shots.revise:
        assert [message.role for message in one.messages] == ["user", "assistant"]
        told = (*(message.content for message in one.messages), one.critique, one.revision)
        assert sum(map(n_words, told)) < 90, one.messages[0].content
        assert n_words(one.critique) <= 25


@each
def test_revise_examples_use_the_principles_requests(constitution: Constitution) -> None:
    """An example shows the very wording that comes later, both requests from one principle."""
    requests = {(one.critique_request, one.revision_request) for one in constitution.principles}
    used = [(one.critique_request, one.revision_request) for one in constitution.few_shots.revise]
    assert set(used) <= requests
    assert len(set(used)) >= 7


@each
def test_revise_examples_are_balanced(constitution: Constitution) -> None:
    """Six change the response; the other two call it fine, and stand neither first nor last."""
    shots = constitution.few_shots.revise
    assert [one.changed for one in shots].count(True) == 6
    assert len(shots) == 8
    assert shots[0].changed
    assert shots[-1].changed
    assert all(one.critique.startswith(FINE) is not one.changed for one in shots)


@each
def test_judge_examples_are_short_and_reasoned(constitution: Constitution) -> None:
    """Each asks a principle's question, and reasons in one sentence that names its answer."""
    questions = {one.choice_question for one in constitution.principles}
    for one in constitution.few_shots.judge:
        assert [message.role for message in one.messages] == ["user"]
        assert max(n_words(one.a), n_words(one.b)) <= 35
        assert one.question in questions
        assert one.reasoning.count(". ") == 0
        assert one.reasoning.endswith(f", so {one.answer} is better.")


@each
def test_judge_examples_are_balanced(constitution: Constitution) -> None:
    """As many A as B and not by turns; the longer response wins some and loses some."""
    shots = constitution.few_shots.judge
    answers = [one.answer for one in shots]
    assert answers.count("A") == answers.count("B") == 2
    assert any(first == second for first, second in pairwise(answers))
    assert len({one.question for one in shots}) == len(shots)
    longer_wins = [(n_words(one.a) > n_words(one.b)) is (one.answer == "A") for one in shots]
    assert set(longer_wins) == {True, False}


@each
def test_texts_hold_no_marks_of_a_layout(constitution: Constitution) -> None:
    """Nothing that a template or a transcript could take for its own."""
    told = all_texts(constitution)
    assert [mark for mark in ("{", "}", "<|", "####", "Human:", "Assistant:", "\u2014") if mark in told] == []


@pytest.mark.parametrize("constitution", PAGES, ids=lambda one: one.name)
def test_pages_tell_every_principle(constitution: Constitution) -> None:
    """The table of a constitution's page has its principles in their order, word for word."""
    told = sections(f"constitutions/{constitution.name}.md")["The principles"]
    rows = [(code_in(cells[0])[0], cells[1], cells[2]) for cells in table_rows(told)]
    assert rows == [(one.id, one.category, one.text) for one in constitution.principles]
