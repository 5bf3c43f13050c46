"""What a server does for a call is counted, whatever it then sends, and never more is begun than the budget allows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from charter.engines.base import ChoiceRequest, Completion, CompletionRequest, Sampling
from charter.engines.cache import CachedEngine, DictMemory
from charter.engines.http import HttpEngine, Limits, failures
from charter.engines.http.bodies import Abilities, completion_body, most_tokens
from charter.engines.http.servers import SERVERS
from charter.engines.spending import Budget, Price, Spending
from charter.engines.usage import Usage
from charter.errors import BudgetSpent, EngineError
from charter.records import Message
from engines.fault_server import FAULTS, Fault, FaultServer, Manners

PRICES = {"stub": Price(prompt=1.0, completion=10.0, cached=0.5)}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a hundredth of the time between tries."""
    monkeypatch.setattr(failures, "_BASE_SECONDS", 0.005)
    monkeypatch.setattr(failures, "_SPREAD_SECONDS", 0.001)
    monkeypatch.setattr(failures, "_MOST_SECONDS", 0.02)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that behaves, to begin with."""
    with FaultServer() as running:
        yield running


def _asked(row: int) -> CompletionRequest | ChoiceRequest:
    messages = (Message(role="user", content=f"Name harbour {row}."),)
    if row % 2:
        return ChoiceRequest(messages=messages, prefill="(")
    return CompletionRequest(messages=messages, sampling=Sampling(max_tokens=7, seed=row))


def _ask(
    server: FaultServer, manners: Manners, n_rows: int, spending: Spending, limits: Limits | None = None
) -> tuple[CachedEngine, list[object], int]:
    """Put rows to a server once it takes on its manners; the engine, what became of them, and what they took there."""
    engine = CachedEngine(HttpEngine("stub", server.url, limits=limits, spending=spending), DictMemory())
    server.manners, n_before = manners, server.seen.n_tokens

    async def run() -> list[object]:
        return list(await asyncio.gather(*(_put(engine, row) for row in range(n_rows)), return_exceptions=True))

    with closing(engine):
        return engine, asyncio.run(run()), server.seen.n_tokens - n_before


async def _put(engine: CachedEngine, row: int) -> object:
    request = _asked(row)
    return await (engine.complete(request) if isinstance(request, CompletionRequest) else engine.choose(request))


def _counted(engine: CachedEngine, price: Price = PRICES["stub"]) -> tuple[int, float]:
    """Add up what an engine says that it took, as a run does that goes on from there: in tokens and money."""
    total, n_cached = engine.usage.total, engine.usage.n_prompt_tokens_from_prefix
    money = price.of(total.n_prompt_tokens, total.n_completion_tokens, n_cached)
    return total.n_prompt_tokens + total.n_completion_tokens, money


@pytest.mark.parametrize("finish", ["tool_calls", "content_filter"])
def test_what_is_no_answer_is_paid_for(server: FaultServer, finish: str) -> None:
    """What the server drew it counts, whether we can do something with it or not; on each try of a call anew."""
    spending = Spending(PRICES)
    engine, ended, n_taken = _ask(server, Manners(finish=finish, n_cached=3), 1, spending)
    assert isinstance(ended[0], EngineError)
    assert n_taken > 0
    assert spending.tokens == server.seen.n_tokens
    tokens, money = _counted(engine)
    assert (tokens, money) == (spending.tokens, pytest.approx(spending.money)), "a run that goes on starts from there"


def test_what_is_answered_is_counted_as_the_server_does(server: FaultServer) -> None:
    """Texts and choices, also the token that a choice draws."""
    spending = Spending(PRICES)
    engine, ended, _ = _ask(server, Manners(n_cached=5), 10, spending)
    assert not any(isinstance(one, BaseException) for one in ended)
    assert spending.tokens == server.seen.n_tokens
    assert _counted(engine) == (spending.tokens, pytest.approx(spending.money))


def test_no_more_comes_from_memory_than_was_read(server: FaultServer) -> None:
    """A server that says so would otherwise pay us."""
    spending = Spending(PRICES)
    _ask(server, Manners(n_cached=10**8), 10, spending)
    assert 0.0 < spending.money < Spending(PRICES).prices["stub"].of(spending.tokens, spending.tokens)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("hang", "no answer in time"),
        ("cut off", "broken connection"),
        ("truncated", "unreadable answer"),
        ("html", "unreadable answer"),
        ("reset", "broken connection"),
    ],
)
def test_a_try_that_says_nothing_counts_its_most(server: FaultServer, fault: Fault, cause: str) -> None:
    """It was sent, and what was done for it nobody heard."""
    spending = Spending(PRICES)
    faulty = Manners(share=1.0, faults=(fault,), most_faults=2)
    engine, ended, _ = _ask(server, faulty, 1, spending, Limits(call_seconds=0.3))
    (answer,) = ended
    assert isinstance(answer, Completion)
    server.manners = Manners()
    with closing(HttpEngine("stub", server.url)) as other:
        n_asking = other.taken.total.n_prompt_tokens + other.taken.total.n_completion_tokens
        request = _asked(0)
        body = completion_body(request, "stub", SERVERS["openai"], other.met.able)  # type: ignore[arg-type]
        most = sum(most_tokens(request, body, other.met.able))
    n_answer = answer.n_prompt_tokens + answer.n_completion_tokens
    assert spending.tokens == n_asking + n_answer + 2 * most
    assert _counted(engine)[0] == spending.tokens
    assert engine.usage.failed_tries == {cause: 2}


@pytest.mark.parametrize("fault", ["429", "500", "503"])
def test_a_try_that_is_refused_costs_nothing(server: FaultServer, fault: Fault) -> None:
    """The server says that it did not do it."""
    spending = Spending(PRICES)
    engine, ended, _ = _ask(server, Manners(share=1.0, faults=(fault,), most_faults=3), 2, spending)
    assert not any(isinstance(one, BaseException) for one in ended)
    assert spending.tokens == server.seen.n_tokens
    assert engine.usage.failed_tries == {f"status {fault}": server.seen.met[fault]}


def test_a_server_that_is_not_there_costs_nothing() -> None:
    """Nothing was sent."""
    spending = Spending(PRICES)
    with FaultServer() as server:
        engine = HttpEngine("stub", server.url, spending=spending)
        n_before = spending.tokens
    with closing(engine), pytest.raises(EngineError, match="no connection"):
        asyncio.run(engine.complete(CompletionRequest(messages=(Message(role="user", content="x"),))))
    assert spending.tokens == n_before


@pytest.mark.parametrize("n_calls", [1, 8])
def test_an_answer_that_comes_as_its_row_is_called_off_is_counted_and_kept(server: FaultServer, n_calls: int) -> None:
    """The rows' loop is busy as the answers come, and then gives its rows up: they are paid for once, and not again."""
    spending, memory = Spending(PRICES), DictMemory()
    engine = CachedEngine(HttpEngine("stub", server.url, spending=spending), memory)
    n_asked = server.seen.n_calls
    server.manners = Manners(latency=0.2, n_cached=3)

    async def stop() -> None:
        calls = [asyncio.create_task(_put(engine, row)) for row in range(n_calls)]
        for _ in range(5):  # until they are in the hands of the engine's own loop
            await asyncio.sleep(0)
        while server.seen.n_calls < n_asked + n_calls or spending.tokens < server.seen.n_tokens:
            time.sleep(0.01)  # noqa: ASYNC251 - the rows' loop is busy
        for call in calls:
            call.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ended)
        assert len(memory) == n_calls, "kept before the rows are gone"

    with closing(engine):
        asyncio.run(stop())
    assert _counted(engine) == (spending.tokens, pytest.approx(spending.money))
    assert spending.tokens == server.seen.n_tokens
    assert engine.usage.total.n_calls == server.seen.n_calls - 1, "all but the list of models"
    server.manners, n_asked = Manners(), server.seen.n_calls
    with closing(CachedEngine(HttpEngine("stub", server.url), memory)) as again:
        n_probed = server.seen.n_calls - n_asked
        asyncio.run(_put_all(again, n_calls))
    assert server.seen.n_calls == n_asked + n_probed, "what was paid for is not asked again"


async def _put_all(engine: CachedEngine, n_calls: int) -> None:
    await asyncio.gather(*(_put(engine, row) for row in range(n_calls)))


@pytest.mark.parametrize("fault", ["hang", "cut off", "truncated", "html", "reset"])
def test_what_finding_out_takes_is_counted_as_any_call(fault: Fault) -> None:
    """Probes that nobody heard the end of count their most, and calls but once."""
    faulty = Manners(share=0.3, faults=(fault,), most_faults=1, seed=1)
    with FaultServer() as well, closing(HttpEngine("stub", well.url)) as plain:
        n_plain = plain.taken.total
    spending = Spending(PRICES)
    with FaultServer(faulty) as server:
        engine = HttpEngine("stub", server.url, spending=spending, limits=Limits(call_seconds=0.2))
        engine.close()
        assert server.seen.met[fault] > 0
        assert engine.met.able == plain.met.able
        assert server.seen.n_tokens < spending.tokens == _total(engine.taken)
    assert engine.taken.total.n_calls == n_plain.n_calls
    assert spending.tokens > n_plain.n_prompt_tokens + n_plain.n_completion_tokens


@pytest.mark.parametrize("fault", ["hang", "html"])
def test_what_a_server_took_that_is_never_found_out_about_is_told(fault: Fault) -> None:
    """Every try may be paid for, and whoever asked for the engine learns of it, though there is none."""
    spending, told = Spending(PRICES), list[Usage]()
    with FaultServer(Manners(share=1.0, faults=(fault,), most_faults=100, lists_models=False)) as server:
        limits = Limits(call_seconds=0.05)
        with pytest.raises(EngineError, match="gave up after 8 tries"):
            HttpEngine("stub", server.url, spending=spending, limits=limits, on_refusal=told.append)
    (usage,) = told
    assert usage.total.n_calls == 1
    assert spending.tokens == _total(usage) > 8 * len("Which letter comes first, A or B?")


@pytest.mark.parametrize("tokens", [100, 500])
def test_what_finding_out_takes_is_held_to_the_budget(server: FaultServer, tokens: int) -> None:
    """Nothing is sent that the budget may not hold, and what was sent before is told."""
    spending, told = Spending(PRICES, Budget(tokens=tokens)), list[Usage]()
    with pytest.raises(BudgetSpent, match=rf"budget\.tokens is {tokens}: "):
        HttpEngine("stub", server.url, spending=spending, on_refusal=told.append)
    assert [_total(one) for one in told] == [spending.tokens]
    assert spending.tokens == server.seen.n_tokens < tokens
    assert (server.seen.n_tokens > 0) == (tokens == 500)


def _total(usage: Usage) -> int:
    return usage.total.n_prompt_tokens + usage.total.n_completion_tokens


@pytest.mark.parametrize("told", [{"prompt_tokens": 10**400}, {"completion_tokens": 10**300}])
def test_a_count_that_is_none_holds_nobody_up(server: FaultServer, told: dict[str, int]) -> None:
    """Such an answer is none: its row fails, others wait for it no longer than for any other, and the end holds."""
    spending = Spending(PRICES, Budget(tokens=3000))
    _, ended, _ = _ask(server, Manners(usage=told), 4, spending)
    assert all(isinstance(one, EngineError | BudgetSpent) for one in ended)
    assert any("does not say how many tokens it took" in str(one) or isinstance(one, BudgetSpent) for one in ended)
    assert 0 < spending.tokens <= 3000


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_server_does_it_is_paid_no_more_than_the_budget(seed: int) -> None:
    """Half of all tries fail in every way, 64 calls at once: what the server took stays within what was counted."""
    spending = Spending(PRICES, Budget(tokens=12_000))
    faulty = Manners(share=0.5, seed=seed, wait=0.02, finish=("stop", "tool_calls", "content_filter")[seed])
    with FaultServer() as server:
        engine, ended, _ = _ask(server, faulty, 400, spending, Limits(call_seconds=0.3))
        assert server.seen.n_tokens <= spending.tokens <= 12_000
        assert any(isinstance(one, BudgetSpent) for one in ended)
        assert len(server.seen.met) > len(FAULTS) // 2
    assert _counted(engine) == (spending.tokens, pytest.approx(spending.money))


TEXTS = {
    "digits": "".join(str(number * 7919 % 10) for number in range(2000)),
    "table": ";".join(f"{number},{number * 31 % 97}" for number in range(300)),
    "amharic": "ሰላም ለዓለም እንዴት ነህ ዛሬ ጥሩ ቀን ነው " * 30,
    "symbols": "🜁🝳⚗︎" * 60,
    "spaces": " \n\t" * 200,
    "empty": "",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_request_comes_to_more_than_is_held_for_it(smollm2: Path, text: str) -> None:
    """Of any text, in a chat of one turn and of many, as a real tokenizer and its template have it."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)

    def count(turns: Sequence[Message]) -> int:
        rendered = tokenizer.apply_chat_template(
            [turn.model_dump() for turn in turns], add_generation_prompt=True, tokenize=False
        )
        return len(tokenizer(rendered, add_special_tokens=False)["input_ids"])

    able = Abilities(reads_text=True, n_template=count([Message(role="user", content="Which letter comes first?")]))
    for n_turns in (1, 9):
        turns = tuple(Message(role="assistant" if n % 2 else "user", content=text) for n in range(n_turns))
        request = CompletionRequest(messages=turns)
        body = completion_body(request, "stub", SERVERS["vllm"], able)
        assert most_tokens(request, body, able)[0] >= count(turns)
    plain = CompletionRequest(text=text)
    body = completion_body(plain, "stub", SERVERS["vllm"], able)
    assert most_tokens(plain, body, able)[0] >= len(tokenizer(text)["input_ids"])


def test_what_is_written_beside_the_request_is_held_too() -> None:
    """Words that ask for a beginning, and a schema, which some servers write into the prompt."""
    request = CompletionRequest(messages=(Message(role="user", content="x"),), prefill="A harbour is")
    in_words = Abilities(prefill="none")
    body = completion_body(request, "stub", SERVERS["vllm"], in_words)
    assert body.value is not None
    assert most_tokens(request, body, in_words)[0] > len(body.value["messages"][0]["content"]) > 40
    held = request.model_copy(update={"json_schema": '{"type": "object"}'})
    able = replace(in_words, holds_schema=True)
    n_more = most_tokens(held, completion_body(held, "stub", SERVERS["vllm"], able), able)[0]
    assert n_more > most_tokens(request, body, in_words)[0] + 18
