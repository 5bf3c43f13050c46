"""Who waits for what, and is told when it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

WantedT = TypeVar("WantedT", bound=Hashable)


class Turns(Generic[WantedT]):
    """Those who wait, by what they wait for."""

    def __init__(self) -> None:
        self._waiting: dict[WantedT, list[asyncio.Future[None]]] = {}

    @property
    def wanted(self) -> list[WantedT]:
        """What is waited for: that for which most wait comes first."""
        return sorted(self._waiting, key=lambda one: -len(self._waiting[one]))

    async def wait(self, one: WantedT) -> None:
        """Wait until it is told of; raises what is told then. Who is cancelled is forgotten."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(one, []).append(turn)
        try:
            await turn
        finally:
            if not turn.done() or turn.cancelled():
                self._forget(one, turn)

    def tell(self, one: WantedT, error: Exception | None = None) -> None:
        """Let all who wait for it go on, or have them raise."""
        for turn in self._waiting.pop(one, []):
            if turn.done():
                continue
            if error is None:
                turn.set_result(None)
            else:
                turn.set_exception(error)

    def tell_where(self, holds: Callable[[WantedT], bool]) -> bool:
        """Let those go on who wait for what something holds of, and say whether there were any."""
        told = [one for one in self._waiting if holds(one)]
        for one in told:
            self.tell(one)
        return bool(told)

    def _forget(self, one: WantedT, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(one, [])
        if turn in turns:
            turns.remove(turn)
        if not turns:
            self._waiting.pop(one, None)
