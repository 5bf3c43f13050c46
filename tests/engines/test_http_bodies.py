from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from charter.engines.base import ChoiceRequest, CompletionRequest, Request, Sampling
from charter.engines.http.bodies import (
    Abilities,
    begins_anew,
    choice_body,
    completion_body,
    models_body,
    row_key,
)
from charter.engines.http.servers import SERVERS, Server, find_server
from charter.errors import CapabilityError
from charter.records import Message

MESSAGES = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="Which is better, {a} or 100 %s?"),
)
ANY = find_server("http://host/v1")
FULL = Abilities(prefill="last message", n_top=20, reads_text=True, n_top_of_text=5)
DRAWN = Sampling(max_tokens=64, temperature=0.7, top_p=0.9, stop=("\n\n", "User:"), seed=11)
GREEDY = Sampling(max_tokens=64, temperature=0.0, top_p=0.9, seed=11)
PREFILLS = {
    "goes on": FULL,
    "goes on when asked": replace(FULL, prefill="continued message"),
    "takes none": replace(FULL, prefill="none"),
}
KINDS = {**SERVERS, "compatible": ANY}


@pytest.mark.parametrize("server", sorted(KINDS))
@pytest.mark.parametrize("sampling", ["drawn", "greedy"])
def test_how_each_server_is_asked_for_a_text(server: str, sampling: str, snapshot: SnapshotAssertion) -> None:
    """A text in a chat: limit, temperature, seed and stops, and what keeps the server from cutting by itself."""
    request = CompletionRequest(messages=MESSAGES, sampling=DRAWN if sampling == "drawn" else GREEDY)
    assert completion_body(request, "some-model", KINDS[server], FULL) == snapshot


@pytest.mark.parametrize("server", sorted(KINDS))
def test_how_each_server_is_asked_to_choose(server: str, snapshot: SnapshotAssertion) -> None:
    """One token, greedy, with as many of the likeliest as the server was found to tell."""
    assert choice_body(ChoiceRequest(messages=MESSAGES), "some-model", KINDS[server], FULL) == snapshot


@pytest.mark.parametrize("way", sorted(PREFILLS))
def test_how_a_text_is_begun(way: str, snapshot: SnapshotAssertion) -> None:
    """The beginning of an answer goes the way that the server takes it, or is asked for in words."""
    request = CompletionRequest(messages=MESSAGES, prefill="Well, {a}: ", sampling=DRAWN)
    assert completion_body(request, "some-model", ANY, PREFILLS[way]) == snapshot


@pytest.mark.parametrize("way", sorted(PREFILLS))
def test_how_a_choice_is_begun(way: str, snapshot: SnapshotAssertion) -> None:
    """The bracket before the letter likewise; in words, the letters are named."""
    request = ChoiceRequest(messages=MESSAGES, prefill="(", options=("A", "B", "C"))
    assert choice_body(request, "some-model", ANY, PREFILLS[way]) == snapshot


@pytest.mark.parametrize("server", ["compatible", "openai", "llama-server"])
def test_how_raw_text_is_put(server: str, snapshot: SnapshotAssertion) -> None:
    """Raw text goes on from its prefill, and the limit has its older name there."""
    text = CompletionRequest(text="Human: 100 %?\n\nAssistant:", prefill=" (", sampling=DRAWN)
    choice = ChoiceRequest(text="Human: 100 %?\n\nAssistant:", prefill=" (")
    asked = KINDS[server]
    assert [
        completion_body(text, "some-model", asked, FULL),
        choice_body(choice, "some-model", asked, FULL),
    ] == snapshot


def test_a_list_of_models_is_asked_for_without_a_body() -> None:
    """The list of models is only looked at."""
    assert (models_body().path, models_body().value) == ("/models", None)


@given(st.integers(0, 2**56 - 1))
def test_any_seed_is_one_that_servers_take(seed: int) -> None:
    """Seeds of 56 bits are folded into 31, and differ for neighbours."""
    seeds = [
        completion_body(
            CompletionRequest(messages=MESSAGES, sampling=Sampling(seed=one)), "some-model", ANY, FULL
        ).value["seed"]
        for one in (seed, seed + 1)
    ]
    assert all(0 <= one < 2**31 for one in seeds)
    assert seeds[0] != seeds[1]


@given(n_stops=st.integers(0, 8), n_taken=st.integers(1, 6))
def test_no_more_stops_are_sent_than_the_server_takes(n_stops: int, n_taken: int) -> None:
    """The first go to the server; the others are looked for on reading."""
    stops = tuple(f"stop {number}" for number in range(n_stops))
    request = CompletionRequest(messages=MESSAGES, sampling=Sampling(stop=stops))
    value = completion_body(request, "some-model", Server("x", n_stops=n_taken), FULL).value
    assert value.get("stop", []) == list(stops[:n_taken])
    assert ("stop" in value) is bool(stops)


def test_a_greedy_text_carries_no_seed() -> None:
    """Where nothing is drawn, seed and nucleus say nothing: two seeds are one request."""
    bodies = [
        completion_body(
            CompletionRequest(messages=MESSAGES, sampling=GREEDY.model_copy(update={"seed": seed})), "m", ANY, FULL
        )
        for seed in (1, 2)
    ]
    assert bodies[0] == bodies[1]
    assert not {"seed", "top_p"} & set(bodies[0].value)


def test_the_request_is_left_as_it_was() -> None:
    """Asking in words changes what is sent, not what was asked."""
    request = CompletionRequest(messages=MESSAGES, prefill="Well")
    before = request.to_json()
    completion_body(request, "m", ANY, PREFILLS["takes none"])
    assert request.to_json() == before


def test_what_the_server_lacks_is_refused() -> None:
    """Raw text without the older completions, and a choice without log-probabilities, are no requests."""
    with pytest.raises(CapabilityError, match="reads no raw text"):
        completion_body(CompletionRequest(text="x"), "m", ANY, replace(FULL, reads_text=False))
    with pytest.raises(CapabilityError, match="tells no log-probabilities"):
        choice_body(ChoiceRequest(messages=MESSAGES), "m", ANY, replace(FULL, n_top=0))
    with pytest.raises(CapabilityError, match="tells no log-probabilities"):
        choice_body(ChoiceRequest(text="x"), "m", ANY, replace(FULL, n_top_of_text=0))
    assert choice_body(ChoiceRequest(messages=MESSAGES), "m", ANY, replace(FULL, n_top_of_text=0))


def test_an_answer_begins_anew_where_no_prefill_is_taken() -> None:
    """Only a chat's prefill can be refused: raw text simply goes on."""
    none = PREFILLS["takes none"]
    assert begins_anew(CompletionRequest(messages=MESSAGES, prefill="Well"), none)
    assert not begins_anew(CompletionRequest(messages=MESSAGES), none)
    assert not begins_anew(CompletionRequest(messages=MESSAGES, prefill="Well"), FULL)
    assert not begins_anew(CompletionRequest(text="x", prefill="Well"), none)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            CompletionRequest(messages=MESSAGES, n_shared=1),
            CompletionRequest(messages=(*MESSAGES, Message(role="assistant", content="Both.")), n_shared=1),
        ),
        (CompletionRequest(messages=MESSAGES, n_shared=2), ChoiceRequest(messages=MESSAGES[1:], prefill="(")),
        (CompletionRequest(text="shown. row one", n_shared=7), ChoiceRequest(text="row one")),
    ],
)
def test_calls_of_one_row_have_one_key(first: Request, second: Request) -> None:
    """What all rows share does not count, nor what comes later in the row."""
    assert row_key(first) == row_key(second)


def test_rows_have_keys_of_their_own() -> None:
    """Rows that share their beginning differ by what is theirs."""
    rows = [
        CompletionRequest(messages=(MESSAGES[0], Message(role="user", content=f"row {n}")), n_shared=1)
        for n in range(20)
    ]
    assert len({row_key(row) for row in rows}) == 20
    texts = [CompletionRequest(text=f"{'shared ' * 100}row {n}", n_shared=700) for n in range(20)]
    assert len({row_key(row) for row in texts}) == 20


def test_options_are_written_so_that_a_grammar_can_hold_them() -> None:
    """Quotation marks, strokes and ends of lines in an option do not end it; other signs stay as they are."""
    request = ChoiceRequest(messages=MESSAGES, options=(" A", '"', "\\", "\n", "ä"))
    value = choice_body(request, "m", SERVERS["llama-server"], FULL).value
    assert value["grammar"] == r'root ::= " A" | "\"" | "\\" | "\n" | "ä"'


def test_every_body_is_json() -> None:
    """What is sent can be written, also where the request holds braces and quotation marks."""
    request = CompletionRequest(messages=(Message(role="user", content='{"a": "\\n"} \U0001f600'),), sampling=DRAWN)
    for server in KINDS.values():
        value = completion_body(request, "m", server, FULL).value
        assert json.loads(json.dumps(value)) == value
