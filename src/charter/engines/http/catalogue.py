"""Which models a server has, asked before a run: it costs nothing, and tells whether server and key are right."""

from __future__ import annotations

import json
from typing import Any

from charter.engines.http.client import make_client
from charter.engines.http.failures import Passing, judge_failure, told
from charter.engines.http.servers import Server
from charter.errors import EngineError, ModelError

_SECONDS = 5.0
_END = "/v1"


def list_models(server: Server, key: str | None, key_name: str) -> list[str]:
    """List the models that all of a server's addresses name; empty where one of them names none.

    The names are as a message may hold them: without the key, and not all of a page.

    Raises:
        EngineError: where nothing answers at one of them.
        ModelError: where the key is refused, or an address lacks the ``/v1`` at its end.
    """
    listed = [_list_at(url, key, key_name) for url in server.base_urls]
    shared = [name for name in listed[0] if all(name in others for others in listed[1:])] if all(listed) else []
    return [told(name, _secrets(key)) for name in shared]


def _list_at(url: str, key: str | None, key_name: str) -> list[str]:
    import openai

    try:
        found = _ask(url, key)
    except openai.APIError as error:
        judged = judge_failure(error, url=url, key_name=key_name, secrets=_secrets(key))
        # What the server said may hold the key, and so what was raised.
        raise (EngineError(judged.reason) if isinstance(judged, Passing) else judged) from None
    if not found and not url.endswith(_END) and _is_listed_below(url, key):
        raise ModelError(f"{url} lists no models, and {url}{_END} does: that is the server's address")
    return found


def _secrets(key: str | None) -> tuple[str, ...]:
    return (key,) if key else ()


def _is_listed_below(url: str, key: str | None) -> bool:
    import openai

    try:
        return bool(_ask(f"{url}{_END}", key))
    except openai.APIError:
        return False


def _ask(url: str, key: str | None) -> list[str]:
    import openai

    with make_client(url, key, _SECONDS) as client:
        try:
            return _names(client.get("/models", cast_to=str))
        except openai.NotFoundError:
            return []


def _names(text: str) -> list[str]:
    """Read the names in a list of models; what is no such list has none."""
    try:
        told: Any = json.loads(text)
    except (ValueError, RecursionError):
        return []
    found = told.get("data") if isinstance(told, dict) else None
    return [str(one["id"]) for one in found if isinstance(one, dict) and "id" in one] if isinstance(found, list) else []
