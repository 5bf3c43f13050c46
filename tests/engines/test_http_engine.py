from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from charter.engines.base import ChoiceRequest, Completion, CompletionRequest, Sampling, ScoreRequest
from charter.engines.cache import CachedEngine, DictMemory
from charter.engines.http import HttpEngine, Limits, failures
from charter.engines.http.bodies import Abilities
from charter.engines.spending import Budget, Price, Spending
from charter.errors import BudgetSpent, CapabilityError, EngineError, ModelError, Unanswered, Unreachable
from charter.records import Message
from engines.fault_server import FaultServer, Manners

MESSAGES = (Message(role="user", content="Name a harbour."),)
KEY = "sk-planted-0123456789"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a hundredth of the time between tries."""
    monkeypatch.setattr(failures, "_BASE_SECONDS", 0.005)


def _abilities(manners: Manners) -> Abilities:
    with FaultServer(manners) as server:
        engine = HttpEngine("stub", server.url)
        engine.close()
        return engine.met.able


@pytest.mark.parametrize(
    ("manners", "prefill"),
    [
        (Manners(prefill="goes on"), "last message"),
        (Manners(prefill="goes on", repeats_prefill=True), "last message"),
        (Manners(prefill="asked"), "continued message"),
        (Manners(prefill="asked", n_frame=1), "continued message"),
        (Manners(prefill="asked", n_frame=2), "continued message"),
        (Manners(prefill="ends"), "none"),
        (Manners(prefill="ends", n_frame=2), "none"),
        (Manners(prefill="drops"), "none"),
        (Manners(prefill="refuses"), "none"),
    ],
)
def test_how_a_server_takes_a_beginning_is_found(manners: Manners, prefill: str) -> None:
    """Whoever goes on with a beginning is told from who ends the turn, drops it or refuses it, by counted tokens."""
    found = _abilities(manners)
    assert found.prefill == prefill
    assert found.repeats_prefill is manners.repeats_prefill


@pytest.mark.parametrize(
    ("manners", "n_top", "reads_text", "n_top_of_text"),
    [
        (Manners(), 20, True, 20),
        (Manners(n_top=5), 5, True, 5),
        (Manners(n_top=0), 0, True, 0),
        (Manners(n_top=-1), 0, True, 0),
        (Manners(reads_text=False), 20, False, 0),
        (Manners(owner="llamacpp", n_top=100), 100, True, 100),
        (Manners(owner="llamacpp", n_top=20), 20, True, 20),
        (Manners(lists_models=False), 20, True, 20),
    ],
)
def test_what_a_server_tells_and_reads_is_found(
    manners: Manners, n_top: int, reads_text: bool, n_top_of_text: int
) -> None:
    """How many of the likeliest tokens it tells, and whether it has the older completions."""
    found = _abilities(manners)
    assert (found.n_top, found.reads_text, found.n_top_of_text) == (n_top, reads_text, n_top_of_text)


def test_capabilities_follow_from_what_was_found() -> None:
    """Scores are never among them."""
    for manners, expected in (
        (Manners(), {"complete", "chat", "choose", "text", "prefill"}),
        (Manners(n_top=0, reads_text=False, prefill="refuses"), {"complete", "chat"}),
    ):
        with FaultServer(manners) as server:
            engine = HttpEngine("stub", server.url)
            assert engine.capabilities == expected
            engine.close()


@pytest.mark.parametrize(
    ("manners", "found"),
    [
        (Manners(), "goes on with the beginning of an answer; tells the 20 likeliest tokens; reads raw text;"),
        (
            Manners(prefill="asked", n_top=5),
            "of an answer where it is told to; tells the 5 likeliest tokens;",
        ),
        (
            Manners(owner="vllm", prefill="refuses", n_top=-1, reads_text=False, holds_schema=True),
            "stub (vllm) takes no beginning of an answer, and is asked in words; tells no log-probabilities;",
        ),
        (
            Manners(owner="vllm", reads_text=False, holds_schema=True),
            "tells the 20 likeliest tokens; reads no raw text; holds JSON to a schema",
        ),
    ],
)
def test_what_was_found_is_said_on_a_line(manners: Manners, found: str) -> None:
    """Whoever runs a judge in words knows it."""
    with FaultServer(manners) as server, closing(HttpEngine("stub", server.url)) as engine:
        assert found in engine.found
        assert "\n" not in engine.found


@pytest.mark.parametrize("refuses_from", [2, 3, 6, 7, 8, 9])
def test_a_busy_server_is_not_taken_for_one_that_cannot(refuses_from: int) -> None:
    """Who says of nothing whether it does it is asked another time: what it was found to do stays in recorded keys."""
    found = "what the server can do could not be found out: gave up after 8 tries; the last: status 503.*call_seconds"
    with FaultServer(Manners(refusal=503, refuses_from=refuses_from)) as server, pytest.raises(Unanswered, match=found):
        HttpEngine("stub", server.url)
    with FaultServer(Manners(refusal=500, refuses_from=refuses_from)) as server:  # many say so of what they never do
        HttpEngine("stub", server.url).close()


def test_faults_change_nothing_that_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that fails at random while it is asked is found to do what it can do."""
    monkeypatch.setattr(failures, "_MOST_SECONDS", 0.02)
    whole = _abilities(Manners(owner="llamacpp", n_top=100))
    for seed in range(5):
        manners = Manners(owner="llamacpp", n_top=100, share=0.5, seed=seed, wait=0.01)
        with FaultServer(manners) as server:
            engine = HttpEngine("stub", server.url, limits=Limits(call_seconds=0.2))
            engine.close()
        assert engine.met.able == whole


def test_a_model_may_have_another_name_in_answers() -> None:
    """What a server calls the model when it is first asked, it must go on to call it; each server its own."""
    with FaultServer(Manners(name="stub-2026-01-01")) as first, FaultServer(Manners(name="/models/stub")) as second:
        engine = HttpEngine("stub", [first.url, second.url])
        assert engine.met.able.served == {"stub", "stub-2026-01-01", "/models/stub"}
        asyncio.run(_ask_many(engine, 8))
        first.manners = replace(first.manners, name="stub-2026-02-02")
        second.manners = replace(second.manners, name="stub-2026-02-02")
        with pytest.raises(EngineError, match="the answer is of another model: stub-2026-02-02; expected"):
            asyncio.run(engine.complete(CompletionRequest(messages=MESSAGES)))
        engine.close()


async def _ask_many(engine: HttpEngine, n_rows: int) -> list[str]:
    asked = [
        engine.complete(CompletionRequest(messages=(Message(role="user", content=f"row {row}"),)))
        for row in range(n_rows)
    ]
    return [answer.text for answer in await asyncio.gather(*asked)]


def test_one_of_several_servers_may_be_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others do its work, from the beginning on."""
    monkeypatch.setattr(failures, "_MOST_SECONDS", 0.02)
    with FaultServer() as gone:
        pass
    with FaultServer() as server:
        engine = HttpEngine("stub", [gone.url, server.url])
        assert len(asyncio.run(_ask_many(engine, 8))) == 8
        engine.close()
    with pytest.raises(Unreachable, match="gave up after 3 tries; the last: no connection"):
        HttpEngine("stub", [gone.url])


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_another_key_is_not_worked_around(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of several servers that refuses is a mistake to be mended, not a server that is down."""
    monkeypatch.setenv("SOME_KEY", KEY)
    with FaultServer(Manners(refusal=status)) as first, FaultServer() as second:
        for urls in ([first.url, second.url], [second.url, first.url]):
            with pytest.raises(ModelError, match=first.url):
                HttpEngine("stub", urls, key_name="SOME_KEY")


def test_an_engine_that_was_not_made_leaves_no_thread() -> None:
    """Thread and connections end with the failure."""
    with FaultServer(Manners(refusal=404)) as server, pytest.raises(ModelError, match="check the model's name"):
        HttpEngine("stub", server.url)
    assert not any(thread.name == "charter-http" for thread in threading.enumerate())


@pytest.mark.parametrize("repeats", [False, True])
def test_a_repeated_beginning_is_no_part_of_the_answer(repeats: bool) -> None:
    """Whether the server repeats the prefill or not, the answer is what follows it."""
    request = CompletionRequest(messages=MESSAGES, prefill="A harbour is", sampling=Sampling(temperature=0.0))
    with FaultServer(Manners(repeats_prefill=repeats)) as server:
        engine = HttpEngine("stub", server.url)
        answer = asyncio.run(engine.complete(request))
        engine.close()
    assert answer.text
    assert not answer.text.startswith("A harbour is")


def test_raw_text_keeps_what_happens_to_be_its_prefill() -> None:
    """Raw text is only gone on with: a draw that begins with the prefill's words keeps them, whatever chats repeat."""
    greedy = Sampling(temperature=0.0)
    with FaultServer(Manners(repeats_prefill=True)) as server:
        engine = HttpEngine("stub", server.url)
        for number in range(100):
            drawn = asyncio.run(engine.complete(CompletionRequest(text=f"{number} lamp", sampling=greedy)))
            if drawn.text.startswith("lamp"):
                break
        assert drawn.text.startswith("lamp")
        split = CompletionRequest(text=f"{number} ", prefill="lamp", sampling=greedy)
        assert asyncio.run(engine.complete(split)) == drawn
        engine.close()


def test_letters_are_asked_for_in_words_where_no_beginning_is_taken() -> None:
    """The server is told to reply with a letter, and the letter counts in any spelling."""
    with FaultServer(Manners(prefill="refuses")) as server:
        engine = HttpEngine("stub", server.url)
        choice = asyncio.run(engine.choose(ChoiceRequest(messages=MESSAGES, prefill="(")))
        engine.close()
    assert server.seen.bodies[-1]["messages"][-1]["content"].endswith("nothing else: A or B.")
    assert 0.9 < choice.mass <= 1.0


def test_scores_are_refused_in_words() -> None:
    """The message says what to take instead."""
    with FaultServer() as server:
        engine = HttpEngine("stub", server.url)
        with pytest.raises(CapabilityError, match="take a local engine"):
            asyncio.run(engine.score(ScoreRequest(messages=MESSAGES, continuation="x")))
        engine.close()


def test_tokens_from_memory_are_counted() -> None:
    """What the server says it had is added up, over calls whose answer counted."""
    with FaultServer(Manners(n_cached=3)) as server:
        engine = HttpEngine("stub", server.url)
        before = engine.prefix_statistics.n_from_cache
        asyncio.run(_ask_many(engine, 5))
        assert engine.prefix_statistics.n_from_cache - before == 15
        assert engine.taken.n_prompt_tokens_from_prefix == engine.prefix_statistics.n_from_cache
        engine.close()


def test_the_identity_is_the_model_and_its_addresses() -> None:
    """Neither the order of addresses nor limits change it; the model's name and another address do."""
    with FaultServer() as first, FaultServer() as second:

        def identity(model: str, *urls: str, n: int = 64) -> str:
            engine = HttpEngine(model, urls, limits=Limits(most_at_once=n))
            engine.close()
            return engine.identity

        both = identity("stub", first.url, second.url)
        assert both == identity("stub", second.url, first.url, n=3)
        assert len({both, identity("stub", first.url), identity("other", first.url, second.url)}) == 3


def test_calls_during_which_the_engine_is_closed_fail() -> None:
    """They raise an engine's error; a row that nobody cancelled is not cancelled, and no bug is seen in the closing."""
    with FaultServer() as server:
        engine = HttpEngine("stub", server.url)
        server.manners = Manners(latency=0.05, refusal=500)

        async def close_meanwhile() -> None:
            calls = [asyncio.create_task(engine.complete(CompletionRequest(messages=MESSAGES))) for _ in range(40)]
            await asyncio.sleep(0.1)
            await asyncio.to_thread(engine.close)
            for end in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(end, EngineError)
                assert "was closed during a call" in str(end)

        asyncio.run(close_meanwhile())


def test_a_call_that_is_called_off_ends_at_the_server_too() -> None:
    """The connection is dropped, so that the server can stop drawing; the next call finds room."""
    with FaultServer() as server:
        engine = HttpEngine("stub", server.url, limits=Limits(most_at_once=1))
        server.manners = Manners(latency=0.2)

        async def call_off() -> None:
            call = asyncio.create_task(engine.complete(CompletionRequest(messages=MESSAGES)))
            await asyncio.sleep(0.05)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await engine.complete(CompletionRequest(messages=MESSAGES))

        asyncio.run(call_off())
        engine.close()


@pytest.mark.parametrize("make", [lambda: HttpEngine("stub", "nowhere"), lambda: HttpEngine("stub", [])])
def test_no_server_is_said_before_anything_is_begun(make: Callable[[], HttpEngine]) -> None:
    """A wrong address needs no connection to be found."""
    with pytest.raises(ModelError, match="expected one of openai"):
        make()


@pytest.mark.parametrize("holds", [True, False])
def test_whether_a_server_holds_to_a_schema_is_found_out(*, holds: bool) -> None:
    """One that passes over it writes prose, and is not asked that way again."""
    schema = {"type": "object", "properties": {"rows": {"type": "array", "items": {"type": "string"}}}}
    request = CompletionRequest(messages=(Message(role="user", content="x"),), json_schema=json.dumps(schema))
    with FaultServer(Manners(holds_schema=holds)) as server, closing(HttpEngine("stub", server.url)) as engine:
        assert ("schema" in engine.capabilities) == holds
        if holds:
            assert len(json.loads(asyncio.run(engine.complete(request)).text)["rows"]) == 2
        else:
            with pytest.raises(CapabilityError):
                asyncio.run(engine.complete(request))


@pytest.mark.parametrize(("n_written", "holds"), [(0, False), (1, False), (2, True), (9, True), (11, True)])
def test_an_object_that_white_space_fills_is_one(n_written: int, *, holds: bool) -> None:
    """A schema leaves white space free: a small model may come to the end of its tokens in it."""
    manners = Manners(holds_schema=True, n_written=n_written)
    with FaultServer(manners) as server, closing(HttpEngine("stub", server.url)) as engine:
        assert ("schema" in engine.capabilities) == holds


def test_what_it_is_asked_at_first_is_counted() -> None:
    """Finding out what a server can do takes tokens too, and they are paid like any other."""
    spending = Spending(prices={"stub": Price(prompt=1.0, completion=1.0)}, budget=Budget(money=1.0))
    with FaultServer() as server, closing(HttpEngine("stub", server.url, spending=spending)):
        pass
    assert spending.tokens > 0
    assert spending.money == pytest.approx(spending.tokens / 1e6)


def test_what_is_known_of_a_server_is_not_asked_again() -> None:
    """Nor counted again: what asking took is the first engine's."""
    spending = Spending()
    with FaultServer() as server:
        with closing(HttpEngine("stub", server.url)) as first:
            n_asked = server.seen.n_calls
            assert first.taken.total.n_calls == n_asked - 1, "all but the list of models"
            assert first.taken.total.n_prompt_tokens > 0
        with closing(HttpEngine("stub", server.url, spending=spending, met=first.met)) as second:
            assert second.identity == first.identity
            assert second.capabilities == first.capabilities
        assert server.seen.n_calls == n_asked
        assert spending.tokens == second.taken.total.n_calls == 0


def test_a_call_that_is_called_off_is_paid_for() -> None:
    """Counted at the most that it can come to where it was sent, and not at all where it still waited."""
    spending = Spending()
    with FaultServer() as server:
        engine = HttpEngine("stub", server.url, spending=spending, limits=Limits(most_at_once=1))
        before, known = engine.taken.total, spending.tokens
        server.manners = replace(server.manners, latency=30.0)

        async def ask() -> None:
            remembered = CachedEngine(engine, DictMemory())
            calls = [asyncio.create_task(remembered.complete(_request(seed))) for seed in range(3)]
            while not server.seen.n_in_flight:  # noqa: ASYNC110 - it lives in another thread
                await asyncio.sleep(0.01)
            for call in reversed(calls):  # those that wait first: else one of them is sent in the place of the first
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            remembered.close()
            used = remembered.usage.total
            assert used.n_calls == before.n_calls + 1
            assert used.n_completion_tokens == before.n_completion_tokens + 7

        asyncio.run(ask())
    n_more = spending.tokens - known
    assert 7 < n_more == engine.taken.total.n_prompt_tokens - before.n_prompt_tokens + 7


def test_calls_that_the_budget_refuses_are_no_calls() -> None:
    """Those under way are let finish, what waits is refused, and nothing of it was put to the model."""
    with FaultServer() as server, closing(HttpEngine("stub", server.url)) as first:
        spending = Spending(budget=Budget(tokens=120))
        engine = HttpEngine("stub", server.url, spending=spending, met=first.met)
        n_before = server.seen.n_calls

        async def ask() -> list[object]:
            remembered = CachedEngine(engine, DictMemory())
            with closing(remembered):
                asked = (remembered.complete(_request(seed)) for seed in range(12))
                ended = await asyncio.gather(*asked, return_exceptions=True)
            assert remembered.usage.total.n_calls == server.seen.n_calls - n_before
            assert (
                remembered.usage.total.n_prompt_tokens + remembered.usage.total.n_completion_tokens == spending.tokens
            )
            return list(ended)

        ended = asyncio.run(ask())
    done = [one for one in ended if isinstance(one, Completion)]
    assert len(done) == server.seen.n_calls - n_before > 1
    assert all(isinstance(one, BudgetSpent) for one in ended if one not in done)
    assert len(done) < 12


def _request(seed: int) -> CompletionRequest:
    return CompletionRequest(messages=MESSAGES, sampling=Sampling(max_tokens=7, seed=seed))
