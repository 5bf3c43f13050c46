from __future__ import annotations

import json
from pathlib import Path

import pytest

from authoring_examples import CONSTITUTION, writer
from charter.authoring.draft import Proposal, accept, derived_requests, draft_requests, propose_requests
from charter.authoring.from_document import draft_principles, merge_principles
from charter.authoring.given_texts import read_request_texts
from charter.constitution import Constitution, Principle
from charter.constitution.derivation import with_derived_fields, with_derived_requests
from charter.engines.base import CompletionRequest
from charter.errors import PromptError

REQUESTS = {
    "critique_request": "Does the response keep {secrets}? Say whether and where not, or say that it is fine.",
    "revision_request": "Rewrite it so that it does, or leave it as it is.",
    "choice_question": "Which response keeps secrets better?",
}
DERIVED = Principle.model_validate(with_derived_requests({"id": "kind", "text": "Be kind.", "category": "x"}))
HALF = Principle.model_validate(
    with_derived_requests({"id": "brief", "text": "Be brief.", "critique_request": "Is it brief, or is it not?"})
)
LACKING = Constitution(name="lacking", principles=(DERIVED, CONSTITUTION.principles[0], HALF))
DOCUMENT = (
    "In our village nobody eats alone.\n\nThe river is ours together, and who takes\nfrom it leaves it clean.\n\n"
    "Nobody eats alone with us, as we said."
)


def test_only_derived_requests_are_drafted() -> None:
    """A request that somebody wrote stays; a principle with three of its own is not asked about."""
    engine = writer(json.dumps(REQUESTS))
    mapped = draft_requests(LACKING, engine)
    assert engine.n_calls["complete"] == 2
    proposals = propose_requests(LACKING, mapped.done)
    assert [one.after.id for one in proposals] == ["kind", "brief"]
    assert proposals[0].after.critique_request == REQUESTS["critique_request"]
    assert proposals[1].after.critique_request == HALF.critique_request
    assert proposals[1].after.choice_question == REQUESTS["choice_question"]
    assert [name for name, _, _ in proposals[1].changed] == ["revision_request", "choice_question"]
    assert derived_requests(proposals[0].after) == ()


def test_requests_are_asked_for_in_a_countrys_words(tmp_path: Path) -> None:
    """Both texts of its section stand in the request, their slots filled once and verbatim."""
    path = tmp_path / "config.yaml"
    path.write_text(
        'principles:\n  CRITIQUE_PROMPT: "Turn {principle} into a critique request."\n'
        '  revision_prompt: "And {principle} into {what}."\n',
        "utf-8",
    )
    asked: list[str] = []

    def reply(request: CompletionRequest) -> str:
        asked.append((request.messages or ())[-1].content)
        return json.dumps(REQUESTS)

    mapped = draft_requests(LACKING, writer(reply), wording=read_request_texts(path))
    assert len(mapped.done) == 2
    assert asked[0].startswith("Turn Be kind. into a critique request.\n\nAnd Be kind. into {what}.\n\nLanguage of")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("red_team: {}\n", "there is no text under 'principles'; expected CRITIQUE_PROMPT and REVISION_PROMPT"),
        ("principles:\n  CRITIQUE_PROMPT:\n", ":1: there is no text under 'principles'"),
        ("principles: [x]\n", ":1: there is no text under 'principles'"),
        ("principles:\n  CRITIQUE_PROMPT: 3\n", ":2: CRITIQUE_PROMPT is 3; expected a text"),
        ("principles:\n  REVISION_PROMPT: Convert it.\n", r":2: REVISION_PROMPT has no \{principle\}"),
    ],
)
def test_wrong_words_for_requests_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """With the line, and what was expected."""
    path = tmp_path / "config.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(PromptError, match=message):
        read_request_texts(path)


def test_requests_that_were_derived_from_a_question_are_drafted() -> None:
    """A layout of questions alone has its requests made of the question; they are as derived as those of a text."""
    asked = Principle.model_validate(
        with_derived_fields({"id": "kind", "choice_question": "Which response is kinder?"})
    )
    assert derived_requests(asked) == ("critique_request", "revision_request")
    mapped = draft_requests(Constitution(name="x", principles=(asked,)), writer(json.dumps(REQUESTS)))
    assert mapped.done[0].critique_request == REQUESTS["critique_request"]
    assert mapped.done[0].choice_question == ""


@pytest.mark.parametrize(
    ("field", "text", "rule"),
    [
        ("choice_question", "Is the first response kind?", "no-choice"),
        ("critique_request", "Explain how the response is harmful.", "presumes-harm"),
    ],
)
def test_drafted_requests_are_linted(field: str, text: str, rule: str) -> None:
    """What the linter would find fault with is repaired, and where that fails left out."""
    mapped = draft_requests(LACKING, writer(json.dumps({**REQUESTS, field: text})))
    assert f"malformed: a request that the rule {rule} finds fault with" in mapped.filtered.values()
    answers = iter([{**REQUESTS, field: text}, REQUESTS] * 2)
    mended = draft_requests(Constitution(name="x", principles=(DERIVED,)), writer(lambda _: json.dumps(next(answers))))
    assert mended.done[0].repaired


def test_accepting_puts_principles_in_their_place() -> None:
    """What was accepted replaces what was there, new principles come last, the rest stays."""
    after = DERIVED.model_copy(update={"text": "Be kinder."})
    new = DERIVED.model_copy(update={"id": "new"})
    whole = accept(LACKING, [Proposal(DERIVED, after), Proposal(None, new)])
    assert whole.ids == ("kind", "privacy", "brief", "new")
    assert whole.principles[0].text == "Be kinder."
    assert accept(None, [Proposal(None, new)], name="begun").ids == ("new",)
    assert accept(LACKING, []) == LACKING


def drafted(request: CompletionRequest) -> str:
    """Draft what the passages hold, and one thing that they do not."""
    shown = (request.messages or ())[-1].content
    rows = [{"title": "Pride of place", "text": "Boast.", "category": "X", "quotation": "We are the best village."}]
    if "eats alone" in shown:
        rows.append({
            "title": "Eat together", "text": "Ask after people who are alone.", "category": "Company",
            "quotation": '"Nobody eats alone' if "as we said" in shown else "nobody eats alone",
        })  # fmt: skip
    if "river" in shown:
        rows.append({
            "title": "Clean river!", "text": "Point out what a plan leaves behind for others.", "category": "commons",
            "quotation": "who takes from it leaves it clean",
        })  # fmt: skip
    return json.dumps(rows)


def test_principles_name_the_words_that_they_come_from() -> None:
    """A quotation is the document's own; one that is not in it leaves its principle out, counted."""
    mapped = draft_principles(DOCUMENT, writer(drafted), max_characters=70)
    assert len(mapped.done) == 3
    assert sum(batch.lost.get("a quotation that is not in the document", 0) for batch in mapped.done) == 3
    for one in (one for batch in mapped.done for one in batch.principles):
        assert DOCUMENT[one.start :].startswith(one.quotation)
    assert mapped.done[1].principles[0].quotation == "who takes\nfrom it leaves it clean"


@pytest.mark.parametrize(
    ("document", "quotation", "is_kept"),
    [
        ("The river is everyone's.", "river", False),
        ("The river is everyone's.", "The river", False),
        ("The river is everyone's.", "The river is", True),
        ("Dignity first.", "Dignity first.", True),  # the whole passage
        ("凡人皆有尊严凡人皆有权利凡人皆当相助凡人皆可发言。", "凡人皆有尊严凡人皆有权利凡人皆当相助凡人", True),
    ],
)
def test_a_quotation_of_a_word_or_two_shows_nothing(document: str, quotation: str, *, is_kept: bool) -> None:
    """Any document holds "the": a principle must come from words that say something."""
    row = {"title": "T", "text": "Say so.", "category": "C", "quotation": quotation}
    batch = draft_principles(document, writer(lambda _: json.dumps([row]))).done
    assert [len(one.principles) for one in batch] == ([1] if is_kept else [])


def test_principles_that_say_the_same_are_merged() -> None:
    """The first stays, with both passages; ids are made of titles; requests are derived until they are drafted."""
    merged = merge_principles(draft_principles(DOCUMENT, writer(drafted), max_characters=70).done, source="village.md")
    assert (merged.n_drafted, merged.n_merged, merged.n_known) == (3, 1, 0)
    together, river = (one.after for one in merged.proposals)
    assert (together.id, together.category, together.source) == ("eat-together", "company", "village.md")
    assert together.metadata == {
        "passages": [
            {"text": "nobody eats alone", "start": 15},
            {"text": "Nobody eats alone", "start": DOCUMENT.index("Nobody eats")},
        ]
    }
    assert river.id == "clean-river"
    assert derived_requests(river) == ("critique_request", "revision_request", "choice_question")


def test_what_is_known_is_not_proposed_and_ids_stay_free() -> None:
    """A principle that is there already is left out; a title that is taken gets a number."""
    drafts = draft_principles(DOCUMENT, writer(drafted), max_characters=70).done
    known = Principle.model_validate(
        with_derived_requests({"id": "clean-river", "text": "Ask after people who are alone!"})
    )
    merged = merge_principles(drafts, source="v", known=[known])
    assert (merged.n_known, [one.after.id for one in merged.proposals]) == (2, ["clean-river-2"])


def test_a_passage_without_a_value_is_no_fault() -> None:
    """An empty array is an answer: no repair, no failure, no principle."""
    engine = writer("[]")
    mapped = draft_principles("Opening hours: nine to five.", engine)
    assert engine.n_calls["complete"] == 1
    assert mapped.done[0].principles == ()
    assert mapped.done[0].lost == {}


def test_a_malformed_answer_leaves_its_passage_out() -> None:
    """After a repair it is counted."""
    mapped = draft_principles("Opening hours: nine to five.", writer("I would rather not."))
    assert list(mapped.filtered.values()) == ["malformed: no JSON object"]
