"""Coroutines run from plain code, also where a loop runs already, as in a notebook."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


def result_of(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine to its end, as ``run_to_end`` does, and give what it returns."""
    found: list[ResultT] = []

    async def keep() -> None:
        found.append(await coroutine)

    run_to_end(keep())
    return found[0]


def run_to_end(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end, also where a loop already runs in this thread (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(coroutine)
        return
    _run_in_thread(coroutine)


def _run_in_thread(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a thread and loop of its own; what interrupts the wait (Ctrl-C) cancels it first."""
    tasks: list[asyncio.Task[None]] = []
    begun = threading.Event()

    async def watched() -> None:
        tasks.append(asyncio.create_task(coroutine))
        begun.set()
        await tasks[0]

    with ThreadPoolExecutor(1, thread_name_prefix="charter-rows") as executor:
        ending = executor.submit(asyncio.run, watched())
        try:
            ending.result()
        except BaseException:  # Ctrl-C above all: the coroutine is told, and the interruption goes its way
            if not ending.done():
                begun.wait(timeout=1.0)
                for task in tasks:
                    with contextlib.suppress(RuntimeError):  # it ended by itself in the meantime
                        task.get_loop().call_soon_threadsafe(task.cancel)
            raise
