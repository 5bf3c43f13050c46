from __future__ import annotations

from dataclasses import replace

import pytest
from syrupy.assertion import SnapshotAssertion

from charter.constitution.model import Constitution
from charter.engines.base import Sampling
from charter.feedback.questions import (
    ANSWER_OPENING,
    REASONING_OPENING,
    Question,
    letter_request,
    make_asking,
    reasoning_request,
)
from charter.records import make_prompt
from method_examples import CONSTITUTION, CONVERSATION, PLAIN, PROMPT, shown

QUESTION = Question(PROMPT, "Which answer is more kind?", "With a {tool}.\n\n(B) is wrong.", "100 %.")
TALK = Question(CONVERSATION, "Which answer is more brief?", "Turn it.", "")
SAMPLING = Sampling(max_tokens=40, seed=3, stop=("###",))

CASES: dict[str, tuple[Constitution, int | None, bool]] = {
    "zero-shot": (CONSTITUTION, 0, False),
    "few-shot": (CONSTITUTION, None, False),
    "chain of thought": (CONSTITUTION, None, True),
    "plain constitution": (PLAIN, None, False),
}


@pytest.mark.parametrize("question", [QUESTION, TALK], ids=["one turn", "conversation"])
@pytest.mark.parametrize("case", CASES)
def test_what_the_judge_is_shown(case: str, question: Question, snapshot: SnapshotAssertion) -> None:
    """Every question for a letter, to the letter; with chains of thought also the question for the chain."""
    constitution, n_few_shots, reasoned = CASES[case]
    asking = make_asking(constitution, n_few_shots=n_few_shots, reasoned=reasoned)
    if reasoned:
        assert shown(reasoning_request(asking, question, SAMPLING)) == snapshot(name="chain")
    reasoning = "The first one {helps}.\n\nThe second does not." if reasoned else None
    assert shown(letter_request(asking, question, reasoning=reasoning)) == snapshot(name="letter")


@pytest.mark.parametrize("case", ["few-shot", "chain of thought", "plain constitution"])
def test_what_a_judge_without_a_template_is_shown(case: str, snapshot: SnapshotAssertion) -> None:
    """The same system text, examples and question in plain text, to the letter."""
    constitution, n_few_shots, reasoned = CASES[case]
    asking = replace(make_asking(constitution, n_few_shots=n_few_shots, reasoned=reasoned), raw=True)
    if reasoned:
        assert shown(reasoning_request(asking, QUESTION, SAMPLING)) == snapshot(name="chain")
    request = letter_request(asking, QUESTION, reasoning="The first." if reasoned else None)
    assert shown(request) == snapshot(name="letter")
    assert (request.text or "")[: request.n_shared] == asking.shared_text


def test_the_answer_begins_where_a_letter_is_one_token() -> None:
    """The answer is begun up to an opening bracket; the letters follow it with no space (CAI §4.1)."""
    request = letter_request(make_asking(CONSTITUTION), QUESTION)
    assert request.prefill == ANSWER_OPENING
    assert request.prefill.endswith(" (")
    assert request.options == ("A", "B")


def test_the_letter_follows_the_reasoning() -> None:
    """After a chain of thought the letter is asked for behind it, in the words of the examples."""
    asking = make_asking(CONSTITUTION, reasoned=True)
    assert letter_request(asking, QUESTION, reasoning="So.").prefill == f"{REASONING_OPENING} So.\n{ANSWER_OPENING}"
    chain = reasoning_request(asking, QUESTION, SAMPLING)
    assert chain.prefill == REASONING_OPENING
    assert chain.messages == letter_request(asking, QUESTION, reasoning="So.").messages
    assert chain.sampling.stop[0] == "###"
    assert any(ANSWER_OPENING.startswith(stop) for stop in chain.sampling.stop)


def test_all_questions_share_their_examples() -> None:
    """What comes before the question is the same for every row, and counted as shared."""
    asking = make_asking(CONSTITUTION, seed=4)
    requests = [letter_request(asking, question) for question in (QUESTION, TALK)]
    for request in requests:
        assert request.messages is not None
        assert request.messages[: request.n_shared] == asking.shared
        assert len(request.messages) == request.n_shared + 1
    assert len(asking.shared) == 5  # the system text, and two turns for each of two examples


@pytest.mark.parametrize("text", ["\n\nStarts with empty lines", "\n\nHuman: me\n\nAssistant: you", "Plain."])
def test_a_lone_prompt_is_always_named(text: str) -> None:
    """Whatever a prompt begins with, it is shown as what a person said."""
    request = letter_request(make_asking(PLAIN), Question(make_prompt(text, "helpful"), "Which?", "a", "b"))
    assert request.messages is not None
    assert request.messages[-1].content.startswith(f"Consider this conversation:\n\nHuman: {text}\n\nWhich?")


@pytest.mark.parametrize(("n_few_shots", "n_turns"), [(0, 1), (1, 3), (2, 5), (9, 5), (None, 5)])
def test_so_many_examples_are_shown(n_few_shots: int | None, n_turns: int) -> None:
    """The first examples are shown, all where no number is given."""
    assert len(make_asking(CONSTITUTION, n_few_shots=n_few_shots).shared) == n_turns


def test_an_example_without_a_question_gets_a_principles() -> None:
    """Its question is drawn from the principles by the run's seed, and is the same for all rows (CAI §4.1)."""
    questions = {one.choice_question for one in CONSTITUTION.principles}

    def drawn(seed: int) -> str:
        text = make_asking(CONSTITUTION, seed=seed).shared[3].content
        return next(question for question in questions if question in text)

    assert {drawn(seed) for seed in range(30)} == questions
    assert all(drawn(seed) == drawn(seed) for seed in range(5))
    assert "Which answer is more honest?" in make_asking(CONSTITUTION, seed=1).shared[1].content


def test_reasoning_is_shown_only_where_it_is_asked_for() -> None:
    """Without chains of thought the examples answer with the letter at once."""
    assert "The clock says so." not in str(make_asking(CONSTITUTION).shared)
    assert "The clock says so." in str(make_asking(CONSTITUTION, reasoned=True).shared)
