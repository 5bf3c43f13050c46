"""What a real server does beyond the contract, against the same model in this process."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from charter.engines.base import Choice, ChoiceRequest, CompletionRequest, Sampling
from charter.engines.http import HttpEngine
from charter.engines.http.calls import Caller
from charter.engines.transformers import TransformersEngine
from charter.records import Message
from engines.contract import QUESTIONS, ask
from engines.servers import LlamaServer

pytestmark = pytest.mark.model


@pytest.fixture
def engine(tiny_server: LlamaServer) -> Iterator[HttpEngine]:
    """An engine that asks the tiny model's server."""
    made = HttpEngine("tiny", tiny_server.url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def here(tiny_model: Path) -> Iterator[TransformersEngine]:
    """The same weights in this process."""
    made = TransformersEngine(tiny_model, dtype="float32", device="cpu")
    yield made
    made.close()


def _messages(question: str) -> tuple[Message, ...]:
    return (Message(role="system", content="Judge."), Message(role="user", content=question))


def test_what_it_does_is_found_out(engine: HttpEngine) -> None:
    """It goes on with a last message, repeats it, tells a hundred tokens, and reads raw text."""
    found = engine.met.able
    assert (found.prefill, found.repeats_prefill) == ("last message", True)
    assert (found.n_top, found.reads_text, found.n_top_of_text) == (100, True, 100)
    assert engine.capabilities == {"complete", "chat", "choose", "text", "schema", "prefill"}


def test_answers_are_held_to_a_schema(engine: HttpEngine) -> None:
    """Even a model that knows no JSON writes what the schema asks for."""
    schema = {
        "type": "object",
        "properties": {"side": {"type": "string", "enum": ["left", "right"]}},
        "required": ["side"],
        "additionalProperties": False,
    }
    requests = [
        CompletionRequest(
            messages=_messages("Which side?"),
            sampling=Sampling(max_tokens=64, seed=seed),
            json_schema=json.dumps(schema),
        )
        for seed in range(4)
    ]
    for answer in ask(engine, requests):
        assert json.loads(answer.text)["side"] in {"left", "right"}


@pytest.mark.parametrize("prefill", ["", "(", "The better one is "])
def test_greedy_texts_are_those_of_the_model_itself(engine: HttpEngine, here: TransformersEngine, prefill: str) -> None:
    """Chats with and without a beginning, and raw text, go on as the same weights do here; tokens are counted alike."""
    greedy = Sampling(max_tokens=12, temperature=0.0)
    requests = [CompletionRequest(messages=_messages(one), prefill=prefill, sampling=greedy) for one in QUESTIONS]
    requests += [CompletionRequest(text=one, prefill=prefill, sampling=greedy) for one in QUESTIONS]
    for there, wanted in zip(ask(engine, requests), ask(here, requests), strict=True):
        # A letter of several bytes that the limit cuts is shown by one and left out by the other.
        assert there.text.rstrip("\ufffd") == wanted.text.rstrip("\ufffd")
        assert (there.n_prompt_tokens, there.finish) == (wanted.n_prompt_tokens, wanted.finish)


def test_options_are_as_likely_as_in_the_model_itself(engine: HttpEngine, here: TransformersEngine) -> None:
    """Options among the hundred likeliest have the model's log-probability to 1e-4; the others no less than it."""
    letters = [chr(number) for number in range(33, 127)]
    options = [tuple(letters[start : start + 2]) for start in range(0, 94, 2)]
    requests = [
        ChoiceRequest(messages=_messages(question), prefill="(", options=pair)
        for question, pair in itertools.product(QUESTIONS[:2], options)
    ]
    requests += [ChoiceRequest(text=QUESTIONS[0], options=pair) for pair in options]
    n_seen = 0
    for there, wanted in zip(ask(engine, requests), ask(here, requests), strict=True):
        least = min(there.logprobs)
        for found, value in zip(there.logprobs, wanted.logprobs, strict=True):
            assert found >= value - 1e-4
            if found > least:
                n_seen += 1
                assert found == pytest.approx(value, abs=1e-4)
    assert n_seen > 20


def test_a_stop_string_ends_a_text_behind_its_beginning(engine: HttpEngine) -> None:
    """Also where the server repeats the beginning, which holds the stop string itself."""
    plain = CompletionRequest(messages=_messages("x"), prefill="A b", sampling=Sampling(max_tokens=24, seed=3))
    whole = ask(engine, [plain])[0].text
    stop = next(sign for sign in whole if sign.isalpha() and sign.isascii())
    request = plain.model_copy(
        update={"prefill": "A b", "sampling": plain.sampling.model_copy(update={"stop": (stop,)})}
    )
    cut = ask(engine, [request])[0]
    assert (cut.text, cut.finish) == (whole[: whole.index(stop)], "stop")


def test_many_stops_are_all_kept_to(engine: HttpEngine) -> None:
    """As many as a layout may need, of which the server takes its share."""
    plain = CompletionRequest(messages=_messages("x"), sampling=Sampling(max_tokens=24, seed=4))
    whole = ask(engine, [plain])[0].text
    stops = (*(f"never {number}" for number in range(70)), *"aeiou")
    sampling = plain.sampling.model_copy(update={"stop": stops})
    cut = ask(engine, [plain.model_copy(update={"sampling": sampling})])[0]
    assert cut.text == whole[: min(whole.index(sign) for sign in "aeiou" if sign in whole)]


def test_the_whole_distribution_is_drawn_from(engine: HttpEngine) -> None:
    """The server's own cuts of the distribution are off: unlikely tokens are drawn as often as the model says."""
    question = _messages("Name anything.")
    requests = [
        CompletionRequest(messages=question, sampling=Sampling(max_tokens=1, seed=seed, temperature=3.0))
        for seed in range(300)
    ]
    drawn = {answer.text for answer in ask(engine, requests)}
    # By default it would take 40 tokens at most. Nearly even, 300 draws of 476 tokens give some 220.
    assert len(drawn) > 120


def test_shared_beginnings_come_from_memory(engine: HttpEngine) -> None:
    """Rows that begin alike are read once, and the server says so."""
    before = engine.prefix_statistics.n_from_cache
    shared = "These words stand before every question, so that they need be read but once. " * 4
    for question in QUESTIONS:
        asyncio.run(engine.choose(ChoiceRequest(messages=_messages(f"{shared}{question}"), prefill="(")))
    assert engine.prefix_statistics.n_from_cache - before > 3 * 60


def test_each_row_sticks_to_one_of_two_servers(
    tiny_server: LlamaServer, other_tiny_server: LlamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have rows, and what a row asks later finds its beginning there."""
    places: dict[str, set[str]] = {}
    plain = Caller._try

    async def noted(self: Caller, place: Any, body: Any, *rest: Any) -> Any:
        row = body.value["messages"][0]["content"].split(":")[0] if body.value else ""
        places.setdefault(row, set()).add(place.url)
        return await plain(self, place, body, *rest)

    engine = HttpEngine("tiny", [tiny_server.url, other_tiny_server.url])
    monkeypatch.setattr(Caller, "_try", noted)

    async def ask_row(row: int) -> None:
        said = [Message(role="user", content=f"row {row}: some words that only this row has, twice over. " * 2)]
        for turn in range(3):
            await engine.choose(ChoiceRequest(messages=tuple(said)))
            said += [Message(role="assistant", content="A"), Message(role="user", content=f"And {turn}?")]

    async def ask_rows() -> None:
        # One after another: a full server would hand on.
        for row in range(16):  # of eight, one time in a hundred, all have the same server
            await ask_row(row)

    asyncio.run(ask_rows())
    n_cached = engine.prefix_statistics.n_from_cache
    engine.close()
    assert set(places) == {f"row {row}" for row in range(16)}
    assert {len(urls) for urls in places.values()} == {1}
    assert set.union(*places.values()) == {tiny_server.url, other_tiny_server.url}
    assert n_cached > 16 * 2 * 20


def _compare(found: Sequence[Choice], wanted: Sequence[Choice]) -> list[float]:
    return [
        abs(one - other)
        for there, here in zip(found, wanted, strict=True)
        for one, other in zip(there.logprobs, here.logprobs, strict=True)
    ]


def test_the_embedded_model_chooses_as_its_dequantised_weights_do(smollm2_server: LlamaServer, smollm2: Path) -> None:
    """Log-probabilities agree to half a nat, on average to 0.15: the server multiplies in 8 bits.

    Measured on these 16 choices: 0.37 at most, 0.07 on average.
    """
    there = HttpEngine("smollm2-135m", smollm2_server.url)
    here = TransformersEngine(smollm2, dtype="float32", device="cpu")
    asked = "{q}\n\nWhich of these is better?\n(A) Yes, and no.\n(B) No.\n\nReply with a letter."
    requests = []
    for question in QUESTIONS:
        chat = _messages(asked.replace("{q}", question))
        requests.append(ChoiceRequest(messages=chat, prefill="The better one is ("))
        requests.append(ChoiceRequest(messages=_messages(question), prefill="("))
        requests.append(ChoiceRequest(text=f"{question}\n\n(A) Yes\n(B) No\n\nAnswer: ("))
        requests.append(ChoiceRequest(text=question, options=(" The", " I", " A")))
    found, wanted = ask(there, requests), ask(here, requests)
    assert [one.n_prompt_tokens for one in found] == [one.n_prompt_tokens for one in wanted]
    apart = _compare(found, wanted)
    assert max(apart) < 0.5
    assert math.fsum(apart) / len(apart) < 0.15
    assert (there.met.able.prefill, there.met.able.repeats_prefill) == ("last message", True)
    there.close()
    here.close()
