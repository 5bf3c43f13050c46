"""How many calls one server gets at once: more for as long as it takes them, fewer when it pushes back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Literal

_FIRST = 8.0
#: What an answered call adds until the server first refuses one: the calls double while one is answered.
_FIRST_GAIN = 1.0
#: They double too where the server has had all that may run for so long and refused none: who refuses does so at once,
#: and a server of one's own takes seconds to answer, in which it is not to be half idle.
_SECONDS_TAKEN = 0.25
#: What an answered call adds to the limit, and what a refused one takes. At one refusal in five the two are even: odd
#: refusals, as every server has them, do not bring the calls to a stand, and a server at its limit refuses few.
_GAIN, _LOSS = 0.5, 2.0
_REMEMBERED = 16
_LONGEST_HOLD = 60.0  # seconds


class Pressure:
    """Lets calls through, in the order in which they came.

    Args:
        most: calls at once, whatever the server takes.

    Attributes:
        n_running: calls that are under way.
    """

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._limit = min(_FIRST, self._most)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._ends: deque[Literal["answered", "failed", "refused"]] = deque(maxlen=_REMEMBERED)
        self._held_until = 0.0
        self._gain = _FIRST_GAIN
        self._doubling: asyncio.TimerHandle | None = None
        self.n_running = 0

    @property
    def limit(self) -> int:
        """How many calls may run at once now."""
        return max(1, int(self._limit))

    @property
    def is_free(self) -> bool:
        """Whether a call would begin at once."""
        return self.n_running < self.limit and not self._waiting and time.monotonic() >= self._held_until

    @property
    def is_answering(self) -> bool:
        """Whether most of the last calls were answered: what fails then is that call's own bad luck, no outage."""
        return 2 * self._ends.count("answered") > len(self._ends)

    @contextlib.asynccontextmanager
    async def passage(self, most_seconds: float = _LONGEST_HOLD) -> AsyncIterator[None]:
        """Wait until a call may begin, and count it until the context ends.

        Args:
            most_seconds: how long a server's wish for a pause is heeded.
        """
        await self._enter()
        try:
            wait = min(self._held_until - time.monotonic(), most_seconds)
            if wait > 0:
                await asyncio.sleep(wait)
            yield
        finally:
            self.n_running -= 1
            self._let_in()

    def answered(self) -> None:
        """Note that the server took a call."""
        self._ends.append("answered")
        self._limit = min(self._limit + self._gain, self._most)
        self._let_in()

    def failed(self) -> None:
        """Note that a call came to nothing for a reason that has nothing to do with how many there are."""
        self._ends.append("failed")

    def pushed_back(self, wait: float | None) -> None:
        """Note that the server refused a call or left it lying; ``wait`` are the seconds that it asked for."""
        self._ends.append("refused")
        self._gain = _GAIN
        self._limit = max(self._limit - _LOSS, 1.0)
        # One refusal is the call's own; where most are refused the server means everybody.
        if wait is not None and 2 * self._ends.count("refused") > _REMEMBERED:
            # Who asks for an hour is asked again after a minute: it may be back, and each call has its own end.
            self._held_until = max(self._held_until, time.monotonic() + min(wait, _LONGEST_HOLD))

    async def _enter(self) -> None:
        if self.n_running < self.limit and not self._waiting:
            self.n_running += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._double_soon()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was let in while it was called off: the place is free again
                self.n_running -= 1
                self._let_in()
            raise

    def _double_soon(self) -> None:
        """Let twice as many in after a while, where calls wait and the server has refused none until then."""
        is_wanted = self._waiting and self._gain == _FIRST_GAIN and self._limit < self._most
        if is_wanted and self._doubling is None:
            self._doubling = asyncio.get_running_loop().call_later(_SECONDS_TAKEN, self._double)

    def _double(self) -> None:
        self._doubling = None
        if self._gain == _FIRST_GAIN and "failed" not in self._ends:
            self._limit = min(2 * self._limit, self._most)
            self._let_in()
            self._double_soon()

    def _let_in(self) -> None:
        while self._waiting and self.n_running < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.n_running += 1
                turn.set_result(None)
