"""What a failed try means: worth another, the row's own fault, or everybody's."""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charter.errors import CharterError, EngineError, ModelError

#: Where the same call may succeed a moment later. 501 and 505 say that the server never does such a thing.
_PASSING = frozenset({408, 409, 425, 429}) | (frozenset(range(500, 600)) - {501, 505})
_PUSHBACK = frozenset({429, 503, 529})
_WAITED_FOR = frozenset({408, 499, 504, 524})  # a proxy's word for a server that may still be at it
_UNSENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})
_OF_THE_ROW = frozenset({400, 413, 422})
#: Codes of a 429 that no waiting mends. The word "billing" alone stands in messages of common rate limits too.
_SPENT = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_REMEDIES: Mapping[int, str] = {
    401: "the server does not know the key: set {key} (in the environment or in .env) to one that it takes",
    402: "the account has no money left: the server wants to be paid before it goes on",
    403: "the key may not do this: ask the server's owner for access to the model, or take another key ({key})",
    **dict.fromkeys(
        (301, 302, 303, 307, 308),
        "the server sends calls elsewhere, where neither key nor prompts should go unasked: name the address itself",
    ),
    404: "nothing is there: check the model's name and the server's address, which mostly ends in /v1",
}
_LONGEST_TOLD = 300  # characters of what a server says
_BASE_SECONDS, _MOST_SECONDS, _MOST_SECONDS_OF_ONE, _SPREAD_SECONDS = 0.5, 20.0, 2.0, 0.1


class MalformedAnswerError(Exception):
    """The server said that all is well, and what it sent is no answer."""


@dataclass(frozen=True)
class Passing:
    """A failure that may not come again: what it was, whether the server asks for fewer calls, and for what pause.

    ``cause`` is the kind of failure, for counting. Where it ``is_unreached`` there was no connection at all.
    """

    reason: str
    cause: str = ""
    pushes_back: bool = False
    wait: float | None = None
    is_unreached: bool = False

    @property
    def is_silence(self) -> bool:
        """Whether the server said nothing of the call itself, which it may do at another time."""
        return self.pushes_back or self.is_unreached


def judge_failure(error: Exception, *, url: str, key_name: str, secrets: tuple[str, ...]) -> Passing | CharterError:
    """Say what a failed try means.

    Args:
        error: what was raised.
        url: where the call went.
        key_name: the environment variable of the key.
        secrets: texts that no message may hold.

    Returns:
        A passing failure; else the error to raise: an ``EngineError`` where only this request is at fault, a
        ``ModelError`` where every other would fail as well.
    """
    import openai

    if isinstance(error, openai.APIStatusError):
        return _judge_status(error, url, key_name, secrets)
    if isinstance(error, openai.APITimeoutError | TimeoutError | asyncio.TimeoutError):
        return Passing("no answer in time", "no answer in time", pushes_back=True)
    if isinstance(error, openai.APIConnectionError):
        # By name: it comes from httpx or from what follows it, as the client has it.
        is_unreached = type(error.__cause__).__name__ == "ConnectError"
        return Passing(
            f"no connection: {told(str(error.__cause__ or error), secrets)} ({url}; is the server running?)",
            "no connection" if is_unreached else "broken connection",
            is_unreached=is_unreached,
        )
    if isinstance(error, MalformedAnswerError | openai.APIError):
        return Passing(told(str(error), secrets), "unreadable answer")
    raise error


def pause(n_tried: int, failure: Passing, *, is_answering: bool = False) -> float:
    """Say how many seconds to wait before the next try: drawn by full jitter, and no less than the server asked for.

    Who is told to come back at once comes back later all the same: a server that says so to everybody would use up
    every try within a second. Long waits are for outages: a server that is answering others is asked again soon.
    """
    most = _MOST_SECONDS_OF_ONE if is_answering else _MOST_SECONDS
    drawn = random.uniform(0.0, min(most, _BASE_SECONDS * 2**n_tried))  # noqa: S311 - no secret
    if failure.wait is None or failure.wait <= drawn:
        return drawn
    return failure.wait + random.uniform(0.0, _SPREAD_SECONDS)  # noqa: S311 - no secret


def costs_nothing(error: Exception) -> bool:
    """Tell whether a try that failed so costs nothing: the server said that it refuses it, or never heard of it.

    Of any other nobody knows what was done for it, nor of one that somebody on the way gave up waiting for.
    """
    import openai

    if isinstance(error, openai.APIStatusError):
        return error.status_code not in _WAITED_FOR
    return isinstance(error, openai.APIConnectionError) and type(error.__cause__).__name__ in _UNSENT


def told(text: str, secrets: tuple[str, ...]) -> str:
    """Give a server's words on one line, without any key that it repeats, and not all of a page."""
    for secret in secrets:
        text = text.replace(secret, "***")
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TOLD else f"{line[:_LONGEST_TOLD]}..."


def _judge_status(error: Any, url: str, key_name: str, secrets: tuple[str, ...]) -> Passing | CharterError:
    status = int(error.status_code)
    whole = _body_message(error)
    said = told(whole, secrets)
    is_spent = status == 429 and any(code in whole for code in _SPENT)
    if status in _PASSING and not is_spent:
        cause = f"status {status}"
        return Passing(f"{cause}: {said}", cause, status in _PUSHBACK, _retry_after(error.response.headers))
    if status in _OF_THE_ROW:
        return EngineError(f"the server refuses the request (status {status}): {said}")
    remedy = _REMEDIES.get(402 if is_spent else status, "the server does not do what was asked of it")
    # The name of a variable is ours; the rest of the sentence is not touched.
    return ModelError(f"{url}: {remedy.replace('{key}', key_name)} (status {status}: {said})")


def _body_message(error: Any) -> str:
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        if not isinstance(inner, dict):
            return str(inner or body)
        text = inner.get("message") or inner.get("detail") or body
        codes = sorted({inner[name] for name in ("code", "type") if isinstance(inner.get(name), str)})
        return f"{text} ({', '.join(codes)})" if codes else str(text)
    return str(body or error)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    told = _seconds(headers.get("retry-after-ms", ""), 1000.0)
    if told is not None:
        return told
    whole = headers.get("retry-after", "")
    told = _seconds(whole, 1.0)
    if told is not None or not whole:
        return told
    try:
        return max(0.0, email.utils.parsedate_to_datetime(whole).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _seconds(text: str, unit: float) -> float | None:
    try:
        value = float(text) / unit
    except ValueError:
        return None
    return value if 0.0 <= value < float("inf") else None
