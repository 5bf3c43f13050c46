"""One call to one of several servers: tried again within bounds, never more at once than they take."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from charter.engines.http.bodies import Body
from charter.engines.http.client import make_async_client
from charter.engines.http.failures import Passing, costs_nothing, judge_failure, pause, told
from charter.engines.http.pressure import Pressure
from charter.errors import EngineError, Unanswered, Unreachable
from charter.seeds import derive_unit

AnswerT = TypeVar("AnswerT")

MOST_TRIES = 8
MOST_TRIES_OF_NOBODY = 3  # where no server that may be asked ever answered, and there is no connection
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Limits:
    """How long and how often a call is tried.

    Args:
        most_at_once: calls under way to each server.
        call_seconds: of one try.
        deadline_seconds: of all tries of a call and the pauses between them, from the first on.
    """

    most_at_once: int = 64
    call_seconds: float = 120.0
    deadline_seconds: float = 900.0


@dataclass
class _Place:
    """One address, and how many calls it takes."""

    url: str
    client: Any
    pressure: Pressure
    has_answered: bool = False


@dataclass
class Try:
    """One try, for who counts.

    Attributes:
        may_cost: whether it may, because it was sent and the server did not say that it refuses it.
        cause: why it failed, in two words; empty where it did not.
    """

    may_cost: bool = False
    cause: str = ""


def _counted_by_nobody() -> contextlib.AbstractAsyncContextManager[Try]:
    return contextlib.nullcontext(Try())


class Caller:
    """Puts bodies to servers that serve the same model, each row's to the one that has its beginning in memory.

    It lives in the event loop that it was made in.

    Args:
        urls: the servers' addresses.
        key: sent to each of them; None sends none.
        key_name: the environment variable of the key, for messages.
        limits: of tries, time and calls at once.
        has_answered: whether one of the servers is known to answer.
        on_retry: told of each try that failed and is followed by another.
    """

    def __init__(
        self,
        urls: Sequence[str],
        key: str | None,
        key_name: str,
        limits: Limits,
        *,
        has_answered: bool = False,
        on_retry: Callable[[str], None] | None = None,
    ) -> None:
        import openai

        self._key_name = key_name
        self._secrets = (key,) if key else ()
        self._limits = limits
        timeout = openai.Timeout(limits.call_seconds, connect=min(limits.call_seconds, _CONNECT_SECONDS))
        self._places = [
            _Place(
                url,
                make_async_client(url, key, timeout),
                Pressure(limits.most_at_once),
                has_answered,
            )
            for url in urls
        ]
        self._on_retry = on_retry

    @property
    def n_places(self) -> int:
        """How many servers there are."""
        return len(self._places)

    async def put(
        self,
        body: Body,
        row: str | int,
        read: Callable[[str], AnswerT],
        hold: Callable[[], contextlib.AbstractAsyncContextManager[Try]] = _counted_by_nobody,
    ) -> AnswerT:
        """Put a body to a server until there is an answer that can be read.

        Args:
            body: what is sent.
            row: what the calls of one row have in common; or the number of the one server to be asked.
            read: reads the answer, or raises ``MalformedAnswerError``.
            hold: makes what each try happens in, once it is about to be sent, and is told there whether it may cost.

        Raises:
            BudgetSpent: where ``hold`` allows no try.
            EngineError: where this call failed for good, by its own fault or at the end of its tries; ``Unanswered``
                where it was a server's that is slow or busy, ``Unreachable`` where nobody ever answered.
            ModelError: where every call would.
        """
        places = [self._places[row]] if isinstance(row, int) else self._ranked(row)
        failure, n_tried, begun, is_nobody = Passing("nothing was tried"), 0, 0.0, False
        while n_tried < MOST_TRIES:
            place = next((one for one in places if one.pressure.is_free), places[0])
            async with place.pressure.passage(self._limits.deadline_seconds), hold() as attempt:
                begun = begun or time.monotonic()  # waiting for the first turn is no trying
                left = begun + self._limits.deadline_seconds - time.monotonic()
                if left <= 0.0:
                    break
                n_tried += 1
                ended = await self._try(place, body, read, min(self._limits.call_seconds, left), attempt)
            if not isinstance(ended, Passing):
                return ended
            failure = ended
            wait = pause(n_tried, failure, is_answering=place.pressure.is_answering)
            is_nobody = failure.is_unreached and not any(one.has_answered for one in places)
            most_tries = MOST_TRIES_OF_NOBODY if is_nobody else MOST_TRIES
            if n_tried >= most_tries or time.monotonic() + wait >= begun + self._limits.deadline_seconds:
                break
            if self._on_retry is not None:
                self._on_retry(f"{place.url}: {failure.reason}; trying again in {wait:.0f} s")
            # Where one server fails another may not.
            places = [*(one for one in places if one is not place), place]
            await asyncio.sleep(wait)
        tries = "1 try" if n_tried == 1 else f"{n_tried} tries"
        said = f"gave up after {tries}; the last: {failure.reason}"
        raise Unreachable(said) if is_nobody else Unanswered(said) if failure.is_silence else EngineError(said)

    def told(self, text: str) -> str:
        """Give a server's words as a message may hold them: without the key, and not all of a page."""
        return told(text, self._secrets)

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*(place.client.close() for place in self._places), return_exceptions=True)

    async def _try(
        self, place: _Place, body: Body, read: Callable[[str], AnswerT], seconds: float, attempt: Try
    ) -> AnswerT | Passing:
        attempt.may_cost = True
        try:
            async with asyncio.timeout(seconds):  # the client's own begins anew with each piece
                text = await _send(place.client, body)
            answer = read(text)
        except EngineError:
            raise
        except Exception as error:  # noqa: BLE001 - judged in one place, which raises what is no failure of a try
            attempt.may_cost = not costs_nothing(error)
            judged = judge_failure(error, url=place.url, key_name=self._key_name, secrets=self._secrets)
            if not isinstance(judged, Passing):
                raise judged from None  # what the server said may hold the key
            attempt.cause = judged.cause
            place.has_answered = place.has_answered or not judged.is_unreached
            if judged.pushes_back:
                place.pressure.pushed_back(judged.wait)
            else:
                place.pressure.failed()
            return judged
        place.has_answered = True
        place.pressure.answered()
        return answer

    def _ranked(self, row: str) -> list[_Place]:
        """Order the servers for a row: always the same first one, and each first for its share of the rows."""
        if len(self._places) == 1:
            return self._places
        return sorted(self._places, key=lambda place: derive_unit(0, f"{place.url} {row}"))


async def _send(client: Any, body: Body) -> str:
    if body.value is None:
        return str(await client.get(body.path, cast_to=str))
    headers = {} if body.keeps_connection else {"Connection": "close"}
    return str(await client.post(body.path, cast_to=str, body=body.value, options={"headers": headers}))
