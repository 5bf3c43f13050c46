"""An event loop in a thread of its own: connections and engines outlive the loops of the stages that use them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from charter.errors import EngineError

ResultT = TypeVar("ResultT")


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
        """
        if self._is_closing:
            coroutine.close()
            raise EngineError(f"{self._of} is closed; make a new one")
        try:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling() or not self._is_closing:
                raise
            raise EngineError(f"{self._of} was closed during a call") from None

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
