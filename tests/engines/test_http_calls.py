from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import pytest

from charter.engines.http import failures
from charter.engines.http.answers import read_answer, read_completion
from charter.engines.http.bodies import Abilities, Body
from charter.engines.http.calls import MOST_TRIES, MOST_TRIES_OF_NOBODY, Caller, Limits
from charter.errors import EngineError, ModelError, Unreachable
from engines.fault_server import Fault, FaultServer, Manners

FoundT = TypeVar("FoundT")

URLS = ("http://a.example/v1", "http://b.example/v1", "http://c.example/v1")
KEY = "sk-planted-0123456789"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a hundredth of the time between tries."""
    monkeypatch.setattr(failures, "_BASE_SECONDS", 0.005)
    monkeypatch.setattr(failures, "_SPREAD_SECONDS", 0.001)


@pytest.fixture
def closed_port() -> Iterator[str]:
    """An address at which nothing answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def _body(content: str) -> Body:
    value = {"model": "stub", "messages": [{"role": "user", "content": content}], "max_tokens": 8}
    return Body("/chat/completions", value)


def _read(text: str) -> str:
    return read_completion(read_answer(text, Abilities())).text


def _with_caller(
    urls: Sequence[str],
    use: Callable[[Caller], Awaitable[FoundT]],
    limits: Limits | None = None,
    key: str | None = None,
    **more: Any,
) -> FoundT:
    async def run() -> FoundT:
        caller = Caller(urls, key, "SOME_KEY", limits or Limits(), **more)
        try:
            return await use(caller)
        finally:
            await caller.close()

    return asyncio.run(run())


def _put(content: str, row: str | int = "row") -> Callable[[Caller], Awaitable[str]]:
    return lambda caller: caller.put(_body(content), row, _read)


def _rank(urls: Sequence[str], rows: Sequence[str]) -> list[tuple[str, ...]]:
    async def rank(caller: Caller) -> list[tuple[str, ...]]:
        return [tuple(place.url for place in caller._ranked(row)) for row in rows]

    return _with_caller(urls, rank)


def test_rows_are_spread_evenly_over_servers() -> None:
    """Each server is first for its share of the rows, and second for half of the others'."""
    orders = Counter(_rank(URLS, [f"row {number}" for number in range(3000)]))
    assert len(orders) == 6
    assert all(400 < n < 600 for n in orders.values())


def test_a_row_has_always_the_same_first_server() -> None:
    """Also in another process, and however the servers are listed."""
    rows = [f"row {number}" for number in range(12)]
    ranked = _rank(URLS, rows)
    assert ranked == _rank(URLS[::-1], rows) == _rank(URLS, rows)
    assert [order[0][7] for order in ranked] == list("acabacaccaab")


def test_a_server_that_is_gone_moves_only_its_own_rows() -> None:
    """The others' rows stay where their beginnings are in memory."""
    rows = [f"row {number}" for number in range(60)]
    for whole, rest in zip(_rank(URLS, rows), _rank(URLS[:2], rows), strict=True):
        assert rest == tuple(url for url in whole if url != URLS[2])


def test_calls_of_a_row_stick_to_one_server() -> None:
    """While its server has room, each call of a row goes there, and both servers have rows."""
    with FaultServer() as first, FaultServer() as second:

        async def use(caller: Caller) -> None:
            for turn in range(4):
                await asyncio.gather(*(_put(f"row {row}, turn {turn}", f"row {row}")(caller) for row in range(8)))

        _with_caller([first.url, second.url], use)
    rows = [{body["messages"][0]["content"].split(",")[0] for body in server.seen.bodies} for server in (first, second)]
    assert rows[0] | rows[1] == {f"row {row}" for row in range(8)}
    assert not rows[0] & rows[1]
    assert all(rows)


def test_a_full_server_hands_on_what_waits() -> None:
    """Where the row's own server is full and another is free, waiting would be worse than reading it again."""
    with FaultServer(Manners(latency=0.1)) as first, FaultServer(Manners(latency=0.1)) as second:

        async def use(caller: Caller) -> None:
            await asyncio.gather(*(_put(f"turn {turn}", "the one row")(caller) for turn in range(8)))

        _with_caller([first.url, second.url], use, Limits(most_at_once=4))
    assert (first.seen.n_calls, second.seen.n_calls) == (4, 4)
    assert (first.seen.most_in_flight, second.seen.most_in_flight) == (4, 4)


def test_a_failed_try_goes_to_another_server(closed_port: str) -> None:
    """A server that is down costs its rows one try each, whichever comes first."""
    tried: list[str] = []
    with FaultServer() as server:

        async def use(caller: Caller) -> None:
            await asyncio.gather(*(_put(f"row {row}", f"row {row}")(caller) for row in range(20)))

        _with_caller([closed_port, server.url], use, on_retry=tried.append)
    assert server.seen.n_calls == 20
    assert all(one.startswith(f"{closed_port}: no connection: ") for one in tried)
    assert 0 < len(tried) < 20


def test_a_numbered_server_is_asked_itself(closed_port: str) -> None:
    """Who asks what one server can do wants no other's answer."""
    with FaultServer() as server:
        assert _with_caller([closed_port, server.url], _put("x", 1))
        with pytest.raises(EngineError, match="no connection"):
            _with_caller([closed_port, server.url], _put("x", 0))
    assert server.seen.n_calls == 1


def test_a_call_is_given_up_after_so_many_tries(closed_port: str) -> None:
    """The message says how many, and what was the last; where nobody ever answered there are few."""
    tried: list[str] = []
    match = (
        rf"gave up after {MOST_TRIES_OF_NOBODY} tries; the last: no connection: .* \({closed_port}; is the server "
        r"running\?\)"
    )
    with pytest.raises(Unreachable, match=match):
        _with_caller([closed_port], _put("x"), on_retry=tried.append)
    assert len(tried) == MOST_TRIES_OF_NOBODY - 1
    assert tried[0].startswith(f"{closed_port}: no connection")
    assert tried[0].endswith("trying again in 0 s")
    with pytest.raises(EngineError, match=f"gave up after {MOST_TRIES} tries"):
        _with_caller([closed_port], _put("x"), has_answered=True)
    with FaultServer(Manners(refusal=500)) as server, pytest.raises(EngineError, match="the last: status 500: no"):
        _with_caller([server.url], _put("x"))
    assert server.seen.n_calls == MOST_TRIES


def test_a_call_is_given_up_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No try begins, and no pause is waited out, beyond the deadline."""
    monkeypatch.setattr(failures, "_BASE_SECONDS", 20.0)
    limits = Limits(deadline_seconds=0.3)
    with FaultServer(Manners(refusal=500)) as server, pytest.raises(EngineError, match=r"gave up after \d tr"):
        _with_caller([server.url], _put("x"), limits)
    assert server.seen.n_calls < MOST_TRIES


def test_a_pause_beyond_the_deadline_is_not_waited_for() -> None:
    """A server that says to come back in an hour is not worth the hour."""
    with FaultServer(Manners(share=1.0, faults=("429 with seconds",), wait=3600.0)) as server:
        with pytest.raises(EngineError, match="gave up after 1 try; the last: status 429: too many"):
            _with_caller([server.url], _put("x"), Limits(deadline_seconds=60.0))
        assert server.seen.n_calls == 1


def test_a_try_ends_in_time() -> None:
    """A server that says nothing is left, and the call is tried again; at the deadline also in the middle of a try."""
    hanging = Manners(share=1.0, faults=("hang",))
    tried: list[str] = []
    with FaultServer(hanging) as server:
        assert _with_caller([server.url], _put("x"), Limits(call_seconds=0.1), on_retry=tried.append)
    assert [one.split("; ")[0] for one in tried] == [f"{server.url}: no answer in time"] * 6
    with FaultServer(hanging) as server, pytest.raises(EngineError, match=r"gave up after 1 try; .* in time"):
        _with_caller([server.url], _put("x"), Limits(call_seconds=60.0, deadline_seconds=0.2))


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_request_is_not_tried_again(status: int) -> None:
    """What is wrong with the request stays wrong."""
    with FaultServer(Manners(refusal=status)) as server, pytest.raises(EngineError, match=f"status {status}"):
        _with_caller([server.url], _put("x"), key=KEY)
    assert server.seen.n_calls == 1


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 501])
def test_what_every_call_would_meet_is_raised_at_once(status: int) -> None:
    """It is the user's to mend; neither the message nor the error behind it holds the key that the server repeats."""
    with FaultServer(Manners(refusal=status)) as server, pytest.raises(ModelError) as raised:
        _with_caller([server.url], _put("x"), key=KEY)
    assert server.seen.n_calls == 1
    assert server.seen.keys == {KEY}
    assert "***" in str(raised.value)
    assert KEY not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_who_is_sent_elsewhere_does_not_go(status: int) -> None:
    """Neither the key nor a prompt goes to a place that nobody named; the message says to name it."""
    with FaultServer() as other:
        sending = Manners(refusal=status, location=other.url.removesuffix("/v1"))
        with FaultServer(sending) as server, pytest.raises(ModelError, match="sends calls elsewhere") as raised:
            _with_caller([server.url], _put("x"), key=KEY)
    assert other.seen.n_calls == 0
    assert KEY not in str(raised.value)


def test_without_a_key_no_variables_key_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own habits of reading the environment send nothing anywhere: no key, no name, no header."""
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID"):
        monkeypatch.setenv(f"OPENAI_{name}", KEY)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"Authorization: Bearer {KEY}\nX-Team: {KEY}")
    with FaultServer() as server:
        _with_caller([server.url], _put("x"))
    assert server.seen.keys == {""}
    assert not any(KEY in value for sent in server.seen.headers for value in sent.values())
    assert all("authorization" not in sent for sent in server.seen.headers)


def test_no_more_calls_are_under_way_than_allowed() -> None:
    """The server sees as many at once as the limit says, and they are enough to reach it."""
    with FaultServer(Manners(latency=0.02)) as server:

        async def use(caller: Caller) -> Any:
            return await asyncio.gather(*(_put(f"row {row}", f"row {row}")(caller) for row in range(100)))

        _with_caller([server.url], use, Limits(most_at_once=12))
    assert server.seen.most_in_flight == 12
    assert server.seen.n_calls == 100


@pytest.mark.parametrize(("fault", "lowers"), [("reset", False), ("html", False), ("500", False), ("503", True)])
def test_only_what_asks_for_fewer_calls_lowers_their_number(fault: Fault, lowers: bool) -> None:
    """Lost connections and malformed answers have nothing to do with how many calls there are."""
    with FaultServer(Manners(share=1.0, faults=(fault,))) as server:

        async def use(caller: Caller) -> int:
            await _put("x")(caller)
            return caller._places[0].pressure.limit

        assert (_with_caller([server.url], use) < 8) is lowers


def test_a_bug_in_reading_is_raised_as_it_is() -> None:
    """What reads an answer and stumbles is not the server's failure."""

    def stumble(_text: str) -> str:
        raise ZeroDivisionError("ours")

    with FaultServer() as server, pytest.raises(ZeroDivisionError):
        _with_caller([server.url], lambda caller: caller.put(_body("x"), "row", stumble))
    assert server.seen.n_calls == 1
