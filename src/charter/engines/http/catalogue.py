"""Which models a server has, asked before a run: it costs nothing, and tells whether server and key are right."""

from __future__ import annotations

from charter.engines.http.failures import Passing, judge_failure
from charter.engines.http.servers import Server
from charter.errors import EngineError

_SECONDS = 5.0
_NO_KEY = "none"


def list_models(server: Server, key: str | None, key_name: str) -> list[str]:
    """List the models that the first of a server's addresses names; empty where it names none.

    Raises:
        EngineError: where nothing answers there.
        ModelError: where the key is refused.
    """
    import openai

    url = server.base_urls[0]
    try:
        with openai.OpenAI(base_url=url, api_key=key or _NO_KEY, max_retries=0, timeout=_SECONDS) as client:
            told = client.get("/models", cast_to=object)
    except openai.NotFoundError:
        return []
    except openai.APIError as error:
        judged = judge_failure(error, url=url, key_name=key_name, secrets=(key,) if key else ())
        raise EngineError(judged.reason) if isinstance(judged, Passing) else judged from error
    found = told.get("data") if isinstance(told, dict) else None
    listed = found if isinstance(found, list) else []
    return [str(one["id"]) for one in listed if isinstance(one, dict) and "id" in one]
