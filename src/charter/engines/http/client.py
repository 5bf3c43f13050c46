"""Clients that send what a call needs and nothing else: the library would add what it finds in the environment.

That may be another key, or the name of an organisation, meant for one server and sent to any. Nor do they go where
a server sends them: nobody has named that place, and key and prompts would go along.
"""

from __future__ import annotations

from typing import Any

_SENT = frozenset(
    {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "content-type",
        "content-length",
        "user-agent",
        "transfer-encoding",
    }
)
_NO_KEY = "none"  # the client wants one also where the server does not


def make_client(url: str, key: str | None, timeout: Any) -> Any:
    """Make a client for calls one after another."""
    import openai

    def strip(request: Any) -> None:
        _strip(request, key)

    http = openai.DefaultHttpxClient(event_hooks={"request": [strip]}, follow_redirects=False)
    return openai.OpenAI(base_url=url, api_key=key or _NO_KEY, max_retries=0, timeout=timeout, http_client=http)


def make_async_client(url: str, key: str | None, timeout: Any) -> Any:
    """Make a client for many calls at once; how often is tried again, and for how long, is ours to say."""
    import openai

    async def strip(request: Any) -> None:
        _strip(request, key)

    http = openai.DefaultAsyncHttpxClient(event_hooks={"request": [strip]}, follow_redirects=False)
    return openai.AsyncOpenAI(base_url=url, api_key=key or _NO_KEY, max_retries=0, timeout=timeout, http_client=http)


def _strip(request: Any, key: str | None) -> None:
    for name in [name for name in request.headers if name.lower() not in _SENT]:
        del request.headers[name]
    if key is not None:
        request.headers["Authorization"] = f"Bearer {key}"
