"""The built-in constitution ``honest``: calibration without flattery, counted, and its facts worked out."""

from __future__ import annotations

from itertools import product

import pytest

from charter.constitution import Principle, ReviseExample, load_constitution
from library_promises import shown, words_of

HONEST = load_constitution("honest")
SUBJECTS = {
    "says-how-sure",
    "known-inferred-guessed",
    "admits-not-knowing",
    "straight-answer",
    "open-questions",
    "words-and-numbers",
    "false-premise",
    "fair-weight",
    "real-sources",
    "real-numbers",
    "faithful-summary",
    "disagrees-openly",
    "steady-under-pressure",
    "fair-feedback",
    "plain-correction",
    "open-persuasion",
    "gives-credit",
    "knows-its-time",
    "is-an-ai",
}

each_principle = pytest.mark.parametrize("principle", HONEST.principles, ids=HONEST.ids)
each_revise = pytest.mark.parametrize("shot", HONEST.few_shots.revise, ids=shown)


def example_of(principle_id: str) -> ReviseExample:
    """Find the one example of a principle."""
    request = HONEST.principle(principle_id).critique_request
    (shot,) = (one for one in HONEST.few_shots.revise if one.critique_request == request)
    return shot


def test_subjects_are_covered() -> None:
    """Certainty, facts, candour, limits."""
    assert set(HONEST.ids) >= SUBJECTS


@each_principle
def test_critique_requests_name_more_than_one_way_to_miss(principle: Principle) -> None:
    """A request that names one side alone drives every response to the other."""
    assert " or " in principle.critique_request.removesuffix(", or say that it is fine.")


@each_revise
def test_critiques_speak_of_what_was_asked(shot: ReviseExample) -> None:
    """A critique repeats the prompt's own words, which is what a small model learns to copy."""
    if not shot.changed:
        return
    asked = words_of(shot.messages[0].content) | words_of(shot.messages[1].content)
    assert asked & words_of(shot.critique)


def test_revisions_open_differently() -> None:
    """An opening that is copied everywhere, such as "I don't know", would itself be untrue."""
    openings = [" ".join(shot.revision.split()[:2]) for shot in HONEST.few_shots.revise]
    assert len(set(openings)) == len(openings)
    assert sum(opening == "I don't" for opening in openings) == 1


def test_what_was_fine_is_sure_once_and_unsure_once() -> None:
    """Both a plain fact and an open doubt can be as sure as they should be."""
    fine = [shot for shot in HONEST.few_shots.revise if not shot.changed]
    assert {shot.critique_request for shot in fine} == {
        HONEST.principle("straight-answer").critique_request,
        HONEST.principle("says-how-sure").critique_request,
    }
    assert ["Nobody can know" in shot.revision for shot in fine] == [False, True]


def test_figures_in_the_examples_are_right() -> None:
    """The dice, the dozen dozens and the leap year."""
    sevens = [pair for pair in product(range(1, 7), repeat=2) if sum(pair) == 7]
    assert f"1 in {36 // len(sevens)}, because {len(sevens)} of the 36" in example_of("words-and-numbers").revision
    product_ = example_of("disagrees-openly").revision
    assert f"12 times 12 is {12 * 12}" in product_
    assert f"ten twelves make {10 * 12}, and two more make {2 * 12}" in product_
    assert "29 days" in example_of("straight-answer").revision


def test_made_up_quotes_go() -> None:
    """The invented sentence is in the response alone."""
    shot = example_of("real-sources")
    assert '"' in shot.messages[1].content
    assert '"' not in shot.revision
