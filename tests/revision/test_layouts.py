from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from charter.constitution.model import Constitution
from charter.engines.base import Completion, CompletionRequest, Sampling
from charter.records import Prompt, make_prompt
from charter.revision.layouts import LayoutName, make_layout
from method_examples import CONSTITUTION, CONVERSATION, PLAIN, PROMPT, shown, system, user

SAMPLING = Sampling(max_tokens=64, temperature=0.5, seed=7)
RESPONSE, CRITIQUE = "With a {tool}.\n\nTurn it.", "It is not brief: 100 %."


def _requests(
    name: LayoutName, constitution: Constitution, prompt: Prompt, n_few_shots: int | None = None
) -> dict[str, CompletionRequest]:
    layout = make_layout(name, constitution, n_few_shots=n_few_shots)
    principle = constitution.principles[0]
    return {
        "initial": layout.initial(prompt, SAMPLING),
        "critique": layout.critique(prompt, RESPONSE, principle, SAMPLING),
        "revision": layout.revision(prompt, RESPONSE, principle, CRITIQUE, SAMPLING),
    }


LAYOUTS: tuple[LayoutName, ...] = ("chat", "transcript")
CASES = {
    "one turn": (CONSTITUTION, PROMPT, None),
    "conversation": (CONSTITUTION, CONVERSATION, 1),
    "plain constitution": (PLAIN, PROMPT, None),
    "no examples": (CONSTITUTION, CONVERSATION, 0),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("step", ["initial", "critique", "revision"])
@pytest.mark.parametrize("case", CASES)
def test_what_a_model_is_shown(name: LayoutName, step: str, case: str, snapshot: SnapshotAssertion) -> None:
    """Every request of a chain, to the letter."""
    assert shown(_requests(name, *CASES[case])[step]) == snapshot


@pytest.mark.parametrize("case", CASES)
def test_a_chat_revision_begins_with_its_critique(case: str) -> None:
    """Within a round the calls share tokens: the revision's messages begin with all of the critique's."""
    requests = _requests("chat", *CASES[case])
    critique, revision = requests["critique"].messages, requests["revision"].messages
    assert critique is not None
    assert revision is not None
    assert revision[: len(critique)] == critique
    assert [turn.role for turn in revision[len(critique) :]] == ["assistant", "user"]
    assert revision[len(critique)].content == CRITIQUE


@pytest.mark.parametrize("case", CASES)
def test_a_transcript_revision_begins_with_its_critique(case: str) -> None:
    """The revision's text begins with all of the critique's, and goes on with the critique that came of it."""
    requests = _requests("transcript", *CASES[case])
    critique, revision = requests["critique"].text, requests["revision"].text
    assert critique is not None
    assert revision is not None
    assert revision.startswith(f"{critique} {CRITIQUE}\n\n")


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("case", CASES)
def test_what_is_shared_is_what_any_two_rows_have_in_common(name: LayoutName, case: str) -> None:
    """``n_shared`` counts the messages, or characters, that are the same for every prompt, response and principle."""
    constitution, prompt, n_few_shots = CASES[case]
    requests = _requests(name, constitution, prompt, n_few_shots)
    other = make_layout(name, constitution, n_few_shots=n_few_shots).critique(
        make_prompt("Another.", "helpful"), "Else.", constitution.principles[-1], SAMPLING
    )
    assert requests["initial"].n_shared == 0
    for step in ("critique", "revision"):
        n_shared = requests[step].n_shared
        assert n_shared == other.n_shared
        shared = (requests[step].messages or requests[step].text or "")[:n_shared]
        assert shared == (other.messages or other.text or "")[:n_shared]
        assert len(shared) == n_shared
        rest = (requests[step].messages or requests[step].text or "")[n_shared:]
        first = rest[0] if name == "chat" else rest
        assert PROMPT.text in str(first) or "The jar is stuck." in str(first)


def test_the_initial_response_is_asked_for_as_the_prompt_stands() -> None:
    """Nothing of the constitution is shown before there is something to criticise (CAI §3.1)."""
    assert _requests("chat", CONSTITUTION, CONVERSATION)["initial"].messages == CONVERSATION.turns
    text = _requests("transcript", CONSTITUTION, PROMPT)["initial"].text
    assert text == "\n\nHuman: How do I {open} a 100 %s jar?\n\nAssistant:"


def test_one_system_text_serves_critique_and_revision() -> None:
    """Two system texts are joined, equal ones shown once; a prompt's own gives way to them."""
    messages = _requests("chat", CONSTITUTION, CONVERSATION)["critique"].messages
    assert messages is not None
    assert [turn for turn in messages if turn.role == "system"] == [system("You are a critic.\nYou revise.")]
    same = CONSTITUTION.system.model_copy(update={"revise": CONSTITUTION.system.critique})
    messages = _requests("chat", CONSTITUTION.model_copy(update={"system": same}), PROMPT)["revision"].messages
    assert messages is not None
    assert messages[0] == system("You are a critic.")
    messages = _requests("chat", PLAIN, PROMPT)["critique"].messages
    assert messages is not None
    assert messages[0] == user(PROMPT.text)


@pytest.mark.parametrize(("n_few_shots", "n_shown"), [(None, 2), (2, 2), (9, 2), (1, 1), (0, 0)])
def test_so_many_examples_are_shown(n_few_shots: int | None, n_shown: int) -> None:
    """The first examples are shown, all where no number is given."""
    for name in LAYOUTS:
        text = shown(_requests(name, CONSTITUTION, PROMPT, n_few_shots)["critique"])
        assert [words in text for words in ("Is my poem good?", "What is 2 + 2?")] == [n_shown > 0, n_shown > 1]


def test_a_transcript_stops_where_another_turn_would_begin() -> None:
    """A base model writes on; the stop strings end its text before it speaks for the person, and keep given ones."""
    sampling = Sampling(stop=("###",))
    stops = make_layout("transcript", PLAIN).initial(PROMPT, sampling).sampling.stop
    assert stops[0] == "###"
    for opening in ("\n\nHuman:", "\n\nCritique Request:", "\n\nRevision Request:", "\n\n####\n\nHuman:"):
        assert any(opening.startswith(stop) for stop in stops)
    assert _requests("chat", PLAIN, PROMPT)["initial"].sampling == SAMPLING


@pytest.mark.parametrize(
    ("text", "kept", "finish"),
    [
        ("Boil it.\n\n#### Then\n\nServe it.", "Boil it.\n\n#### Then\n\nServe it.", "length"),
        ("#### First\n\n####Second\n\n##### Third", "#### First\n\n####Second\n\n##### Third", "length"),
        ("Boil it.\n\n####", "Boil it.", "stop"),
        ("Boil it.\n\n####  ", "Boil it.", "stop"),
        ("Boil it.\n\n#### \n\nHuman", "Boil it.", "stop"),
        ("Boil it.", "Boil it.", "length"),
    ],
)
def test_a_transcript_ends_at_the_separator_and_at_no_heading(text: str, kept: str, finish: str) -> None:
    """Four marks on a line of their own end a text; before a heading's words they are Markdown and stay."""
    completion = Completion(text=text, finish="length", n_prompt_tokens=1, n_completion_tokens=9)
    layout = make_layout("transcript", PLAIN)
    read = layout.read(completion)
    assert (read.text, read.finish) == (kept, finish)
    assert make_layout("chat", PLAIN).read(completion) == completion
    if kept == text:
        assert not any(stop in text for stop in layout.initial(PROMPT, SAMPLING).sampling.stop)


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_slot_is_filled_in_text_from_outside(name: LayoutName) -> None:
    """Braces and per cent signs in prompts, answers, critiques and principles reach the model as they are."""
    text = shown(_requests(name, CONSTITUTION, PROMPT)["revision"])
    for part in (PROMPT.text, RESPONSE, CRITIQUE, CONSTITUTION.principles[0].critique_request):
        assert part in text


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("case", CASES)
def test_what_a_model_is_shown_that_revises_at_once(name: LayoutName, case: str, snapshot: SnapshotAssertion) -> None:
    """Without critiques neither the request nor a worked example has one (CAI Figure 7's control)."""
    constitution, prompt, n_few_shots = CASES[case]
    layout = make_layout(name, constitution, n_few_shots=n_few_shots, critiques=False)
    principle = constitution.principles[0]
    said = shown(layout.revision(prompt, RESPONSE, principle, "", SAMPLING))
    assert principle.critique_request not in said
    assert all(example.critique not in said for example in layout.examples)
    assert said == snapshot
