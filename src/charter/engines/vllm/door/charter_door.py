"""Lets nobody in without the key: vLLM itself asks for it under a few paths alone, such as ``/v1``.

Without this anyone who reaches the server reads its figures, asks it by ``/invocations``, and takes adapters off.
Imported by vLLM's server in its own environment: it imports the standard library alone.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

_OPEN = "/health"  # tells that the server is there, and nothing else

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Door:
    """What stands before vLLM's server, as ASGI has it; the key is that of ``VLLM_API_KEY``.

    Args:
        app: what is behind it.

    Raises:
        KeyError: where there is no key, so that no server begins that was meant to be closed.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._wanted = _digest(f"Bearer {os.environ['VLLM_API_KEY']}".encode())

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Hand a call on, or refuse it."""
        kind = scope["type"]
        if kind == "lifespan" or (kind == "http" and scope["path"] == _OPEN) or self._knows(scope):
            await self._app(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            said = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
            await send({"type": "http.response.start", "status": 401, "headers": said})
            await send({"type": "http.response.body", "body": b'{"error": "bring the key of VLLM_API_KEY"}'})

    def _knows(self, scope: Message) -> bool:
        brought = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        return len(brought) == 1 and hmac.compare_digest(_digest(brought[0]), self._wanted)


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()  # of one length, so that the time of comparing tells nothing
