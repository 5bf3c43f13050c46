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

#: Where the same call may succeed a moment later.
_PASSING = frozenset({408, 409, 425, 429}) | frozenset(range(500, 600))
_PUSHBACK = frozenset({429, 503, 529})
_OF_THE_ROW = frozenset({400, 413, 422})
_SPENT = ("insufficient_quota", "billing", "payment required")
_REMEDIES: Mapping[int, str] = {
    401: "the server does not know the key: set {key} (in the environment or in .env) to one that it takes",
    402: "the account has no money left: the server wants to be paid before it goes on",
    403: "the key may not do this: ask the server's owner for access to the model, or take another key ({key})",
    404: "nothing is there: check the model's name and the server's address, which mostly ends in /v1",
}
_LONGEST_TOLD = 300  # characters of what a server says
_BASE_SECONDS, _MOST_SECONDS = 0.5, 20.0


class MalformedAnswerError(Exception):
    """The server said that all is well, and what it sent is no answer."""


@dataclass(frozen=True)
class Passing:
    """A failure that may not come again: what it was, whether the server asks for fewer calls, and for what pause."""

    reason: str
    pushes_back: bool = False
    wait: float | None = None


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
        return Passing("no answer in time", pushes_back=True)
    if isinstance(error, openai.APIConnectionError):
        return Passing(f"no connection to {url}: {_told(str(error.__cause__ or error), secrets)}")
    if isinstance(error, MalformedAnswerError | openai.APIError):
        return Passing(_told(str(error), secrets))
    raise error


def pause(n_tried: int, failure: Passing) -> float:
    """Say how many seconds to wait before the next try: what the server asked for, else by full jitter."""
    if failure.wait is not None:
        return failure.wait + random.uniform(0.0, 0.1)  # noqa: S311 - no secret
    return random.uniform(0.0, min(_MOST_SECONDS, _BASE_SECONDS * 2**n_tried))  # noqa: S311 - no secret


def _judge_status(error: Any, url: str, key_name: str, secrets: tuple[str, ...]) -> Passing | CharterError:
    status = int(error.status_code)
    said = _told(_body_message(error), secrets)
    if status in _PASSING and not (status == 429 and any(word in said.lower() for word in _SPENT)):
        return Passing(f"status {status}: {said}", status in _PUSHBACK, _retry_after(error.response.headers))
    if status in _OF_THE_ROW:
        return EngineError(f"the server refuses the request (status {status}): {said}")
    remedy = _REMEDIES.get(402 if status == 429 else status, "the server does not do what was asked of it")
    # The name of a variable is ours; the rest of the sentence is not touched.
    return ModelError(f"{url}: {remedy.replace('{key}', key_name)} (status {status}: {said})")


def _body_message(error: Any) -> str:
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        text = inner.get("message") or inner.get("detail") if isinstance(inner, dict) else inner
        code = inner.get("code") if isinstance(inner, dict) else None
        return f"{text or body}{f' ({code})' if isinstance(code, str) else ''}"
    return str(body or error)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    told = headers.get("retry-after-ms")
    if told is not None:
        return _seconds(told, 1000.0)
    told = headers.get("retry-after")
    if told is None:
        return None
    seconds = _seconds(told, 1.0)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - time.time())
    except ValueError:
        return None


def _seconds(text: str, unit: float) -> float | None:
    try:
        value = float(text) / unit
    except ValueError:
        return None
    return value if 0.0 <= value < float("inf") else None


def _told(text: str, secrets: tuple[str, ...]) -> str:
    """Give a server's words on one line, without any key that it repeats, and not all of a page."""
    for secret in secrets:
        text = text.replace(secret, "***")
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TOLD else f"{line[:_LONGEST_TOLD]}..."
