"""An event loop in a thread of its own: connections and engines outlive the loops of the stages that use them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from charter.errors import EngineError

ResultT = TypeVar("ResultT")


class TooLate(asyncio.CancelledError):
    """Who waited for a call is cancelled, and the call came to its end all the same.

    Args:
        result: of the call.
    """

    def __init__(self, result: object) -> None:
        super().__init__()
        self.result = result


class _Call(Generic[ResultT]):
    """A coroutine that runs in another loop, and its end as it is seen from here."""

    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, ResultT]) -> None:
        self._loop = loop
        self._task: asyncio.Task[ResultT] | None = None
        self.ended: Future[ResultT] = Future()
        loop.call_soon_threadsafe(self._begin, coroutine)

    def call_off(self) -> None:
        """Cancel it there, where it does not end just now."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and all that ran in it has ended
            self._loop.call_soon_threadsafe(self._cancel)

    def _begin(self, coroutine: Coroutine[Any, Any, ResultT]) -> None:
        self._task = self._loop.create_task(coroutine)
        self._task.add_done_callback(self._tell)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _tell(self, task: asyncio.Task[ResultT]) -> None:
        if task.cancelled():
            self.ended.cancel()
        if not self.ended.set_running_or_notify_cancel():
            return
        error = task.exception()
        if error is None:
            self.ended.set_result(task.result())
        else:
            self.ended.set_exception(error)


class LoopThread:
    """Runs coroutines for callers in other threads and loops.

    Args:
        of: whose calls these are, as an error names it.
    """

    def __init__(self, of: str = "this engine") -> None:
        self._of = of
        self._is_closing = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="charter-calls", daemon=True)
        self._thread.start()

    async def run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run a coroutine there and wait for it here; who is cancelled here is cancelled there.

        Raises:
            EngineError: where the thread is closed, or was before the coroutine ended.
            TooLate: for who is cancelled, where the coroutine came to its end before it could be; with its result.
        """
        if self._is_closing:
            coroutine.close()
            raise EngineError(f"{self._of} is closed; make a new one")
        call = _Call(self._loop, coroutine)
        ended = asyncio.wrap_future(call.ended)
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._is_closing and not (task is not None and task.cancelling()):
                raise EngineError(f"{self._of} was closed during a call") from None
            call.call_off()
            await asyncio.wait([ended])
            if ended.cancelled() or ended.exception() is not None:
                raise
            raise TooLate(ended.result()) from None

    def run_blocking(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run a coroutine there and block until it ends."""
        return self.start(coroutine).result()

    def start(self, coroutine: Coroutine[Any, Any, ResultT]) -> Future[ResultT]:
        """Begin to run a coroutine there."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def cancel(self) -> None:
        """Cancel what still runs, and wait for its end; further calls of ``run`` are refused."""
        self._is_closing = True
        if self._thread.is_alive():
            self.run_blocking(_cancel_others())

    def close(self) -> None:
        """Cancel what still runs, and end the thread; closing twice is fine."""
        if not self._thread.is_alive():
            return
        self.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
