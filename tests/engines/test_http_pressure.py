from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.engines.http import pressure as pressure_module
from charter.engines.http.pressure import Pressure


class _Watched(Pressure):
    """Lets nobody in above the limit unnoticed: what is counted is looked at whenever it grows."""

    def __init__(self, most: int) -> None:
        self._n_running = 0
        self.most_running = 0
        super().__init__(most)

    @property
    def n_running(self) -> int:  # type: ignore[override]
        """How many run."""
        return self._n_running

    @n_running.setter
    def n_running(self, value: int) -> None:
        if value > self._n_running:
            assert value <= self.limit
        assert value >= 0
        self._n_running = value
        self.most_running = max(self.most_running, value)


@dataclass
class _Ends:
    """What became of calls, in the order in which they began."""

    begun: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _Call:
    """A call that takes a number of turns of the loop, ends somehow, and may be called off after some turns."""

    n_turns: int
    end: str
    called_off_after: int | None


_CALLS = st.builds(
    _Call,
    n_turns=st.integers(0, 4),
    end=st.sampled_from(["answered", "answered", "failed", "refused", "raised"]),
    called_off_after=st.none() | st.integers(0, 12),
)


async def _turns(n: int) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


async def _make(pressure: Pressure, number: int, call: _Call, ends: _Ends) -> None:
    async with pressure.passage():
        ends.begun.append(number)
        await _turns(call.n_turns)
        match call.end:
            case "answered":
                pressure.answered()
            case "failed":
                pressure.failed()
            case "refused":
                pressure.pushed_back(None)
            case _:
                raise LookupError
        ends.ended.append(number)


async def _make_all(pressure: Pressure, calls: list[_Call], ends: _Ends) -> list[object]:
    tasks = [asyncio.create_task(_make(pressure, number, call, ends)) for number, call in enumerate(calls)]
    for turn in range(13):
        for task, call in zip(tasks, calls, strict=True):
            if call.called_off_after == turn:
                task.cancel()
        await asyncio.sleep(0)
    return list(await asyncio.gather(*tasks, return_exceptions=True))


@given(most=st.integers(1, 12), calls=st.lists(_CALLS, max_size=60))
def test_never_more_at_once_than_the_limit_and_nobody_is_forgotten(most: int, calls: list[_Call]) -> None:
    """However calls end or are called off, nobody begins above the limit, everybody else has a turn, none stays."""
    pressure, ends = _Watched(most), _Ends()
    found = asyncio.run(_make_all(pressure, calls, ends))
    for number, (call, end) in enumerate(zip(calls, found, strict=True)):
        if call.called_off_after is None:
            assert number in ends.begun
            assert isinstance(end, LookupError) == (call.end == "raised")
    assert pressure.n_running == 0
    assert pressure.is_free
    assert pressure.most_running <= most


@given(most=st.integers(1, 6), calls=st.lists(_CALLS, max_size=60))
def test_calls_begin_in_the_order_in_which_they_came(most: int, calls: list[_Call]) -> None:
    """Who came first goes first; who is called off while waiting holds nobody up and makes nobody jump ahead."""
    pressure, ends = Pressure(most), _Ends()
    asyncio.run(_make_all(pressure, calls, ends))
    assert ends.begun == sorted(ends.begun)


@given(st.integers(1, 64), st.lists(st.sampled_from(["answered", "failed", "refused"]), max_size=300))
def test_the_limit_stays_between_one_and_the_most(most: int, ends: list[str]) -> None:
    """Answers raise the limit, refusals lower it, other failures leave it; it never leaves its bounds."""
    pressure = Pressure(most)
    assert pressure.limit == min(8, most)
    for end in ends:
        before = pressure.limit
        match end:
            case "answered":
                pressure.answered()
                assert before <= pressure.limit <= before + 1
            case "failed":
                pressure.failed()
                assert pressure.limit == before
            case _:
                pressure.pushed_back(None)
                assert max(1, before - 2) <= pressure.limit <= before
        assert 1 <= pressure.limit <= most


def test_a_server_that_takes_all_gets_the_most_soon() -> None:
    """From the first calls to the most they double while one is answered."""
    pressure = Pressure(64)
    n_answered = 0
    while pressure.limit < 64:
        pressure.answered()
        n_answered += 1
    assert n_answered == 56  # 8, 16, 32 and 64 at once


def test_a_slow_server_that_refuses_none_gets_the_most_before_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who refuses does so at once: the calls double with time, until the first refusal or failure and no further."""
    monkeypatch.setattr(pressure_module, "_SECONDS_TAKEN", 0.01)

    async def most_running(end: Callable[[Pressure], object]) -> int:
        pressure = Pressure(64)
        ends = asyncio.Event()

        async def call() -> None:
            async with pressure.passage():
                end(pressure)
                await ends.wait()

        calls = [asyncio.create_task(call()) for _ in range(100)]
        most = 0
        for _ in range(20):
            await asyncio.sleep(0.01)
            most = max(most, pressure.n_running)
        ends.set()
        await asyncio.gather(*calls)
        return most

    assert asyncio.run(most_running(lambda _: None)) == 64
    assert asyncio.run(most_running(Pressure.failed)) == 8
    assert asyncio.run(most_running(lambda pressure: pressure.pushed_back(None))) <= 8


def test_a_server_that_refuses_all_gets_one_at_a_time() -> None:
    """And from one on it rises again, slower than at first."""
    pressure = Pressure(64)
    for _ in range(100):
        pressure.pushed_back(None)
    assert pressure.limit == 1
    for _ in range(20):
        pressure.answered()
    assert pressure.limit == 11


def test_odd_refusals_do_not_bring_the_calls_down() -> None:
    """One refusal in eight answers leaves the limit where it was; one in three does not."""
    mild, harsh = Pressure(64), Pressure(64)
    for pressure, n_answered in ((mild, 8), (harsh, 3)):
        for _ in range(200):
            pressure.answered()
        for _ in range(200):
            pressure.pushed_back(None)
            for _ in range(n_answered):
                pressure.answered()
    assert mild.limit >= 60
    assert harsh.limit <= 8


def test_a_raised_limit_lets_those_in_who_wait() -> None:
    """Who waits begins as soon as the limit rises, not at the next call's end."""

    async def watch() -> tuple[int, int]:
        pressure, ends = Pressure(64), _Ends()
        calls = [_Call(50, "answered", None) for _ in range(12)]
        tasks = [asyncio.create_task(_make(pressure, number, call, ends)) for number, call in enumerate(calls)]
        await _turns(2)
        before = len(ends.begun)
        for _ in range(4):
            pressure.answered()
        await _turns(2)
        after = len(ends.begun)
        await asyncio.gather(*tasks)
        return before, after

    assert asyncio.run(watch()) == (8, 12)


def test_a_lowered_limit_waits_for_calls_to_end() -> None:
    """Nobody is thrown out, and nobody comes in until so many have gone."""

    async def watch() -> list[int]:
        pressure, ends = Pressure(8), _Ends()
        calls = [_Call(5 + number, "failed", None) for number in range(12)]
        tasks = [asyncio.create_task(_make(pressure, number, call, ends)) for number, call in enumerate(calls)]
        await _turns(2)
        pressure.pushed_back(None)
        pressure.pushed_back(None)
        seen = []
        while not all(task.done() for task in tasks):
            seen.append(pressure.n_running)
            await asyncio.sleep(0)
        return seen

    seen = asyncio.run(watch())
    assert seen[0] == 8
    assert all(later <= 4 for later in seen[seen.index(4) :])


def test_nobody_waits_an_hour_for_a_server_that_asks_for_one() -> None:
    """The wish is heeded for as long as a call has, and for a minute at most."""

    async def watch() -> float:
        pressure = Pressure(8)
        for _ in range(9):
            pressure.pushed_back(3600.0)
        begun = time.monotonic()
        async with pressure.passage(0.1):
            waited = time.monotonic() - begun
        assert not pressure.is_free
        return waited

    assert 0.09 <= asyncio.run(watch()) < 10.0


def test_a_refusal_of_everybody_holds_everybody() -> None:
    """Where most calls are refused and the server names a pause, nobody begins before it is over."""

    async def watch() -> float:
        pressure = Pressure(8)
        for _ in range(9):
            pressure.pushed_back(0.2)
        assert not pressure.is_free
        begun = time.monotonic()
        async with pressure.passage():
            waited = time.monotonic() - begun
        assert pressure.is_free
        return waited

    assert asyncio.run(watch()) >= 0.19


@pytest.mark.parametrize(("n_answered", "n_refused"), [(0, 8), (8, 8), (30, 1)])
def test_a_refusal_of_one_holds_nobody(n_answered: int, n_refused: int) -> None:
    """The pause that one call was told is its own, as long as not most are."""
    pressure = Pressure(8)
    for _ in range(n_refused):
        pressure.pushed_back(60.0)
    for _ in range(n_answered):
        pressure.answered()
    pressure.pushed_back(None)
    assert pressure.is_free


def test_a_call_that_is_called_off_while_it_is_held_leaves_its_place() -> None:
    """Also who waits out the server's pause can be called off."""

    async def watch() -> int:
        pressure, ends = Pressure(2), _Ends()
        for _ in range(9):
            pressure.pushed_back(60.0)
        task = asyncio.create_task(_make(pressure, 0, _Call(0, "answered", None), ends))
        await _turns(3)
        assert pressure.n_running == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return pressure.n_running

    assert asyncio.run(watch()) == 0


@given(st.lists(st.sampled_from(["answered", "failed", "refused"]), max_size=60))
def test_a_server_is_answering_where_most_of_the_last_calls_were_answered(ends: list[str]) -> None:
    """Of the last sixteen more than half; a server that nobody has asked is not."""
    pressure = Pressure(8)
    for end in ends:
        if end == "refused":
            pressure.pushed_back(None)
        elif end == "failed":
            pressure.failed()
        else:
            pressure.answered()
    last = ends[-16:]
    assert pressure.is_answering == (last.count("answered") > len(last) / 2)
