from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import pytest

from charter.engines.loop_thread import LoopThread, TooLate
from charter.errors import EngineError


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    """A loop in a thread of its own, closed after the test."""
    started = LoopThread()
    yield started
    started.close()


async def _where() -> tuple[int, int]:
    return threading.get_ident(), id(asyncio.get_running_loop())


def test_all_callers_use_one_loop(thread: LoopThread) -> None:
    """Coroutines of several loops, and of none, run in the same one, which is none of theirs."""

    async def ask() -> tuple[int, int]:
        return await thread.run(_where())

    found = {asyncio.run(ask()), asyncio.run(ask()), thread.run_blocking(_where())}
    assert len(found) == 1
    assert found.pop()[0] != threading.get_ident()


def test_it_can_be_waited_for_inside_of_a_running_loop(thread: LoopThread) -> None:
    """As a notebook's cell does, which makes an engine while its loop runs."""

    async def cell() -> tuple[int, int]:
        return thread.run_blocking(_where())

    assert asyncio.run(cell()) == thread.run_blocking(_where())


def test_errors_come_back(thread: LoopThread) -> None:
    """What a coroutine raises there is raised here."""

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("there")

    with pytest.raises(LookupError, match="there"):
        asyncio.run(thread.run(fail()))
    with pytest.raises(LookupError, match="there"):
        thread.run_blocking(fail())


def test_who_is_cancelled_here_is_cancelled_there(thread: LoopThread) -> None:
    """A call that nobody waits for any more does not go on."""
    ended = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.set()
            raise

    async def give_up() -> None:
        task = asyncio.create_task(thread.run(wait()))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    assert ended.wait(10.0)


@pytest.mark.parametrize("is_over", [True, False])
def test_what_ends_all_the_same_is_not_lost(thread: LoopThread, *, is_over: bool) -> None:
    """It was over before who waited was cancelled, or was not to be stopped any more: its result comes along."""
    over = threading.Event()

    async def answer() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0 if is_over else 60)
        over.set()
        return "an answer"

    async def give_up() -> None:
        task = asyncio.create_task(thread.run(answer()))
        await asyncio.sleep(0)
        assert over.wait(10.0 if is_over else 0.05) is is_over  # this loop stands still meanwhile
        task.cancel()
        with pytest.raises(TooLate) as caught:
            await task
        assert caught.value.result == "an answer"
        assert task.cancelled()

    asyncio.run(give_up())


def test_what_fails_as_it_is_cancelled_has_no_result(thread: LoopThread) -> None:
    """Who is cancelled is told of nothing else."""
    begun = threading.Event()

    async def fail() -> None:
        try:
            begun.set()
            await asyncio.sleep(60)
        finally:
            raise LookupError("there")

    async def give_up() -> None:
        task = asyncio.create_task(thread.run(fail()))
        await asyncio.sleep(0)
        assert begun.wait(10.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert type(caught.value) is asyncio.CancelledError

    asyncio.run(give_up())


def test_closing_cancels_what_runs_and_ends_the_thread() -> None:
    """What still runs is told, and gets to its end; closing twice is fine."""
    thread = LoopThread("the clerk")
    ended = []

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append("there")

    async def close_meanwhile() -> None:
        task = asyncio.create_task(thread.run(wait()))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(thread.close)
        with pytest.raises(EngineError, match="the clerk was closed during a call"):
            await task

    asyncio.run(close_meanwhile())
    assert ended == ["there"]
    thread.close()
    assert not any(other.name == "charter-calls" for other in threading.enumerate())
    with pytest.raises(EngineError, match="the clerk is closed; make a new one"):
        asyncio.run(thread.run(wait()))
