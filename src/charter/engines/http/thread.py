"""An event loop in a thread of its own: connections outlive the loops of the stages that use them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


class LoopThread:
    """Runs coroutines for callers in other threads and loops."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="charter-http", daemon=True)
        self._thread.start()

    async def run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run a coroutine there and wait for it here; who is cancelled here is cancelled there."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def run_blocking(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run a coroutine there and block until it ends."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def cancel(self) -> None:
        """Cancel what still runs, and wait for its end."""
        self.run_blocking(_cancel_others())

    def close(self) -> None:
        """Cancel what still runs, and end the thread."""
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
