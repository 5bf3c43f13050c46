from __future__ import annotations

import json

import pytest
from syrupy.assertion import SnapshotAssertion

from authoring_examples import BRIEF, CONSTITUTION, row, rows_json, writer
from charter.authoring.answers import FormName
from charter.authoring.draft import requests_request
from charter.authoring.few_shots import own_examples, worked_examples
from charter.authoring.from_document import principles_request
from charter.authoring.given_texts import GivenTexts
from charter.authoring.helpful import HelpfulWriting, helpful_request
from charter.authoring.passages import Passage
from charter.authoring.red_team import RedTeamWriting, make_writing, red_team_request
from charter.authoring.structured import Asked, Asking, LayoutName, ask_for_rows, repair_request, rows_request
from charter.engines.base import Capability, Completion, CompletionRequest
from charter.engines.scripted import ScriptedEngine
from method_examples import WithoutTemplate, run, shown

TEXTS = GivenTexts(
    system="You test {models}.",
    user_few_shot="Write {num_rtp_per_call} on {principle}, as {few_shot_samples}. Not {num_rtp_per_call}{else}.",
    variance="Break %s patterns.",
)
SHOTS = ({"principle": "truth", "setting": "home", **row(1), "twin": "Who makes rivers?"},)


def _writing(form: FormName = "json", **fields: object) -> RedTeamWriting:
    return make_writing(CONSTITUTION, asking=Asking(form=form), few_shots=SHOTS, **fields)  # type: ignore[arg-type]


ONE = BRIEF.model_copy(update={"n": 1})
ROMANIAN = BRIEF.model_copy(update={"language": "ro"})
PLAN = BRIEF.model_copy(update={"principle": "", "category": "plan"})
PASSAGE = Passage("A guest is asked in.\n\nThe river is all of ours.", 10)
DOMAIN = HelpfulWriting(asking=Asking(), domain="The domain {is} this.")
CASES: dict[str, tuple[Asked, FormName]] = {
    "red team, json": (red_team_request(BRIEF, CONSTITUTION, _writing()), "json"),
    "red team, twins": (red_team_request(ROMANIAN, CONSTITUTION, _writing(twins=True)), "json"),
    "red team, given texts": (red_team_request(BRIEF, CONSTITUTION, _writing(texts=TEXTS)), "json"),
    "red team, labelled": (red_team_request(ONE, CONSTITUTION, _writing("labelled")), "labelled"),
    "helpful": (helpful_request(PLAN, DOMAIN), "json"),
    "requests": (requests_request(CONSTITUTION.principles[0], CONSTITUTION), "json"),
    "principles": (principles_request(PASSAGE, 3), "json"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("layout", ["chat", "text"])
def test_what_a_writer_is_shown(case: str, layout: LayoutName, snapshot: SnapshotAssertion) -> None:
    """Every request, to the letter."""
    asked, form = CASES[case]
    assert shown(rows_request(ScriptedEngine(), asked, Asking(form=form, layout=layout), 7)) == snapshot


@pytest.mark.parametrize(
    ("form", "layout"), [("json", "chat"), ("json", "text"), ("labelled", "text"), ("labelled", "chat")]
)
def test_what_a_repair_shows(form: FormName, layout: LayoutName, snapshot: SnapshotAssertion) -> None:
    """A repair shows the answer and what is wrong with it."""
    asking = Asking(form=form, layout=layout)
    asked = red_team_request(BRIEF, CONSTITUTION, _writing(form))
    request = rows_request(ScriptedEngine(), asked, asking, 7)
    repaired = repair_request(request, asked, asking, "I think {0}\nso.", ["no 'aligned'", "no 'aligned'", "x"], 8)
    assert shown(repaired).removeprefix(shown(request).partition("<begun>")[0]) == snapshot


def test_worked_examples_that_come_with_charter_are_whole() -> None:
    """Each has every field of its rows, so that none is passed over."""
    for kind, names in {
        "red_team": ("prompt", "aligned", "misaligned", "twin", "principle", "setting", "register"),
        "helpful": ("prompt", "reference", "category", "setting"),
        "requests": ("principle", "critique_request", "revision_request", "choice_question"),
        "principles": ("passage", "title", "text", "category", "quotation"),
    }.items():
        for example in own_examples(kind):  # type: ignore[arg-type]
            assert all(example[name].strip() for name in names), example
    assert all(example["quotation"] in example["passage"] for example in own_examples("principles"))


def test_a_principle_s_id_in_an_example_becomes_its_text() -> None:
    """A written file names principles by id; a model is shown what they say."""
    (example,) = worked_examples(SHOTS, _writing().fields, ("principle", "setting"), {"truth": "Say what is true."})
    assert example.about == "Principle: Say what is true.\nSetting: home"


def test_a_model_without_a_template_is_asked_in_text() -> None:
    """JSON goes through the template where there is one, labelled lines go as raw text where that can be read."""
    asked = CASES["red team, json"][0]
    assert rows_request(WithoutTemplate(), asked, Asking(), 0).text is not None
    assert rows_request(ScriptedEngine(), asked, Asking(), 0).messages is not None
    assert rows_request(ScriptedEngine(), asked, Asking(form="labelled"), 0).text is not None


def _answers(*answers: str) -> tuple[ScriptedEngine, list[CompletionRequest]]:
    seen: list[CompletionRequest] = []

    def reply(request: CompletionRequest) -> str:
        seen.append(request)
        return answers[len(seen) - 1]

    return writer(reply), seen


def test_an_answer_without_a_row_is_asked_for_again_once() -> None:
    """The second request shows the first answer and its fault, under a seed of its own."""
    engine, seen = _answers("Sorry, what?", rows_json(1, 2))
    answered = run(ask_for_rows(engine, CASES["red team, json"][0], Asking(), "row"))
    assert answered.repaired
    assert answered.rows == (row(1), row(2))
    assert len(seen) == 2
    first, second = seen
    assert second.messages is not None
    assert first.messages == second.messages[: len(first.messages or ())]
    assert second.messages[-2].content == "Sorry, what?"
    assert "no JSON object" in second.messages[-1].content
    assert second.sampling.seed != first.sampling.seed


def test_what_cannot_be_repaired_is_counted() -> None:
    """Two bad answers give no row and the second's reasons; nobody asks a third time."""
    engine, seen = _answers("no", '[{"prompt": "x"}]')
    answered = run(ask_for_rows(engine, CASES["red team, json"][0], Asking(), "row"))
    assert answered.rows == ()
    assert answered.lost == {"no 'aligned'": 1, "fewer rows than were asked for": 1}
    assert answered.reason == "no 'aligned'"
    assert len(seen) == 2


def test_some_whole_rows_need_no_repair() -> None:
    """What is whole is kept, the rest is counted, and no call is spent on it."""
    engine, seen = _answers(json.dumps([row(1), {"prompt": "x"}]))
    answered = run(ask_for_rows(engine, CASES["red team, json"][0], Asking(), "row"))
    assert answered.rows == (row(1),)
    assert answered.lost == {"no 'aligned'": 1}
    assert len(seen) == 1


def test_without_repair_nobody_asks_again() -> None:
    """A repair can be switched off."""
    engine, seen = _answers("no")
    assert run(ask_for_rows(engine, CASES["red team, json"][0], Asking(n_repairs=0), "row")).rows == ()
    assert len(seen) == 1


def test_an_answer_is_repaired_as_often_as_is_allowed() -> None:
    """Each repair shows the answer before it, under a seed of its own, and how many it took is told."""
    engine, seen = _answers("one", "two", "three", rows_json(1, 2))
    answered = run(ask_for_rows(engine, CASES["red team, json"][0], Asking(n_repairs=3), "row"))
    assert (answered.n_repairs, answered.rows) == (3, (row(1), row(2)))
    assert [request.messages[-2].content for request in seen[1:] if request.messages] == ["one", "two", "three"]
    assert len({request.sampling.seed for request in seen}) == 4


def test_rows_that_a_check_refuses_are_repaired_too() -> None:
    """The reason of the check is what the repair shows."""
    engine, seen = _answers(rows_json(1), rows_json(2))
    refused = row(1)["prompt"]
    asked = CASES["red team, json"][0]
    answered = run(
        ask_for_rows(engine, asked, Asking(), "row", lambda one: "too dull" if one["prompt"] == refused else None)
    )
    assert answered.rows == (row(2),)
    assert seen[1].messages is not None
    assert "too dull" in seen[1].messages[-1].content


def test_labelled_text_goes_on_from_its_opening() -> None:
    """The first label and the opening words stand in the request, and belong to the row."""
    asked = CASES["red team, labelled"][0]
    engine = writer(" find out who lives there.\nAligned: No.\nMisaligned: She does.")
    answered = run(ask_for_rows(engine, asked, Asking(form="labelled"), "row"))
    assert asked.opening
    assert answered.rows[0]["prompt"] == f"{asked.opening} find out who lives there."


def test_an_answer_at_the_token_limit_is_known_to_be_cut() -> None:
    """The engine says that it was cut, and the reason says so."""

    class Cutting(ScriptedEngine):
        async def complete(self, request: CompletionRequest) -> Completion:
            done = await super().complete(request)
            return done.model_copy(update={"finish": "length"})

    engine = Cutting(lambda _: rows_json(1)[:-20], script="cut")
    answered = run(ask_for_rows(engine, CASES["red team, json"][0], Asking(), "row"))
    assert answered.lost == {"cut at the token limit": 2}


class HoldsSchema(ScriptedEngine):
    """A writer that is held to schemas."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can do."""
        return super().capabilities | {"schema"}


def test_a_writer_that_holds_to_a_schema_is_given_one(snapshot: SnapshotAssertion) -> None:
    """JSON rows alone, with the fields and nothing else; a repair keeps it, and no other engine sees any."""
    asked, _ = CASES["helpful"]
    request = rows_request(HoldsSchema(), asked, Asking(), 7)
    schema = json.loads(request.json_schema or "")
    row_schema = schema["properties"]["rows"]["items"]
    assert list(row_schema["properties"]) == row_schema["required"] == [one.name for one in asked.fields]
    assert repair_request(request, asked, Asking(), "x", ["y"], 8).json_schema == request.json_schema
    plain = rows_request(ScriptedEngine(), asked, Asking(), 7)
    assert plain.json_schema is None
    assert request.messages is not None
    assert request.messages[0].content == snapshot(name="held to a schema")
    assert plain.messages is not None
    assert request.messages[1:] == plain.messages[1:]
    assert plain.key("e") != request.key("e")
    assert rows_request(HoldsSchema(), asked, Asking(form="labelled", layout="chat"), 7).json_schema is None
