from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from charter.engines.base import Sampling
from charter.errors import PromptError
from charter.records import Message, Prompt, Record, Response, SftRow, Trace, make_prompt, transcript
from row_examples import HOSTILE_TEXTS, RECORDS, TABLES, records_of


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_records_survive_json(kind: type[Record], data: st.DataObject) -> None:
    """A record that goes to JSON and back is the same record, whatever its texts hold."""
    record = data.draw(records_of(kind))
    assert kind.from_json(record.to_json()) == record
    assert kind.from_json(record.to_json().encode("utf-8")) == record


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_records_survive_a_table_row(kind: Any, data: st.DataObject) -> None:
    """A record that becomes a flat row, and that row JSON, reads back as the same record."""
    record = data.draw(records_of(kind))
    row = record.to_row()
    assert kind.from_row(row) == record
    assert kind.from_row(json.loads(json.dumps(row))) == record


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=ascii)
def test_hostile_text_is_kept_verbatim(text: str) -> None:
    """Braces, per cent signs, NUL, every newline and very long text are data: nothing reads or trims them."""
    row = SftRow(id="sft-1", prompt=make_prompt(text, "helpful"), response=text, origin=text)
    for back in (SftRow.from_json(row.to_json()), SftRow.from_row(row.to_row())):
        assert back.response == text
        assert back.prompt.turns[0].content == text
        assert back.prompt.text == text


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_records_are_frozen(kind: type[Record], data: st.DataObject) -> None:
    """No field of a record can be set: a row is what it was recorded as."""
    record = data.draw(records_of(kind))
    for name in kind.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(record, name, getattr(record, name))


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_unknown_fields_are_refused(kind: type[Record], data: st.DataObject) -> None:
    """A field that a record does not have is an error that names it."""
    fields = data.draw(records_of(kind)).model_dump(mode="json")
    with pytest.raises(ValidationError, match=r"surplus\n.*Extra inputs are not permitted"):
        kind.model_validate({**fields, "surplus": 1})


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda text: Message(role="user", content=text), "content"),
        (lambda text: make_prompt("fine", "helpful", category=text), "category"),
        (lambda text: SftRow(id="a", prompt=make_prompt("fine", "helpful"), response=text, origin=""), "response"),
        (lambda text: make_prompt(text, "red_team"), "content"),
    ],
    ids=["message", "category", "response", "prompt"],
)
@pytest.mark.parametrize("text", ["\ud800", "before \udfff after", "\udc00\ud800"], ids=ascii)
def test_half_surrogate_pairs_are_refused_by_name(make: Callable[[str], Record], field: str, text: str) -> None:
    """Half a surrogate pair is no character: the record says which field holds it, long before a file fails."""
    with pytest.raises((ValidationError, PromptError), match=field):
        make(text)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "bad_kind"}, "kind is 'bad_kind'; expected 'red_team', 'helpful' or 'benign_twin'"),
        ({"kind": "helpful", "categori": "x"}, "there is no field 'categori'; there are id, turns, kind, category"),
        ({"kind": "helpful", "category": 3}, "category is 3; expected a valid string"),
        ({"kind": "helpful", "text": None}, "content is None; expected a valid string"),
    ],
)
def test_a_prompt_that_cannot_be_made_is_a_prompt_error(fields: dict[str, Any], said: str) -> None:
    """Whoever makes prompts in Python catches one kind of error, which names field, value and what was expected."""
    with pytest.raises(PromptError) as caught:
        make_prompt(**{"text": "x", **fields})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"role": "tool", "content": "x"}, "role"),
        ({"role": "user", "content": None}, "content"),
        ({"role": "user", "content": 3}, "content"),
        ({"role": "user"}, "content"),
    ],
)
def test_wrong_values_are_refused_by_name(values: dict[str, Any], field: str) -> None:
    """A value of the wrong type, or none, is an error that names its field."""
    with pytest.raises(ValidationError, match=field):
        Message.model_validate(values)


def test_a_prompt_holds_a_turn() -> None:
    """A prompt with no turn asks nothing and is refused."""
    with pytest.raises(ValidationError, match="turns"):
        Prompt(id="prompt-1", turns=(), kind="helpful")


def test_a_lone_user_turn_is_its_own_transcript() -> None:
    """One user turn is shown as it is; any other conversation gets its speakers' names."""
    user, answer = Message(role="user", content=" Why?\n"), Message(role="assistant", content="Because.")
    system = Message(role="system", content="Be brief.")
    assert transcript((user,)) == " Why?\n"
    assert transcript((answer,)) == "\n\nAssistant: Because."
    assert transcript((system, user, answer, user)) == (
        "\n\nSystem: Be brief.\n\nHuman:  Why?\n\n\nAssistant: Because.\n\nHuman:  Why?\n"
    )


def test_prompts_are_named_after_their_text_and_kind() -> None:
    """The same text is the same prompt; as another kind it is another one; a given id is kept."""
    assert make_prompt("Why?", "helpful").id == make_prompt("Why?", "helpful", category="x").id
    assert make_prompt("Why?", "helpful").id != make_prompt("Why?", "red_team").id
    assert make_prompt("Why?", "helpful", id="mine").id == "mine"


def test_the_final_text_of_a_trace() -> None:
    """The last revision is final; without a round it is the initial response."""
    prompt = make_prompt("Why?", "helpful")
    bare = Trace(id="trace-1", prompt=prompt, initial="first", rounds=())
    assert bare.final == "first"
    revised = {"principle": "p", "critique_request": "", "critique": "", "revision_request": ""}
    rounds = [{"number": number, "revision": f"text {number}", **revised} for number in (1, 2)]
    assert Trace.model_validate({**bare.model_dump(), "rounds": rounds}).final == "text 2"


def test_a_row_carries_its_prompt_beside_its_own_columns() -> None:
    """A table row leads with its id and the prompt's columns, so that a reader needs no join."""
    prompt = make_prompt("Why?", "benign_twin", category="c", source="s", twin_of="t", split="evaluation")
    row = Response(id="response-1", prompt=prompt, model="base", text="So.", finish="stop", n_tokens=1, label="evasive")
    columns = row.to_row()
    assert list(columns)[:2] == ["id", "prompt"]
    assert columns["id"] == "response-1"
    assert columns["prompt"] == "Why?"
    assert columns["prompt_id"] == prompt.id
    assert (columns["kind"], columns["category"], columns["prompt_source"]) == ("benign_twin", "c", "s")
    assert (columns["twin_of"], columns["split"], columns["reference"]) == ("t", "evaluation", None)


def test_records_alike_share_the_set_of_their_given_names() -> None:
    """That set is larger than a short row; a copy with a change gets one of its own, and the others keep theirs."""
    first, second, third = (Message(role="user", content=text) for text in ("a", "b", "c"))
    assert first.model_fields_set is second.model_fields_set
    assert first.model_fields_set == {"role", "content"}
    sampling = Sampling(max_tokens=3)
    copied = sampling.model_copy(update={"seed": 4})
    assert (sampling.model_fields_set, copied.model_fields_set) == ({"max_tokens"}, {"max_tokens", "seed"})
    assert Sampling(max_tokens=5).model_fields_set == {"max_tokens"}
    assert pickle.loads(pickle.dumps(third)) == third  # noqa: S301 - our own
