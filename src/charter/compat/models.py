"""The engine that stands where the answer-improvement library had a hosted model, a pipeline or a mock."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from charter.engines.base import Engine
from charter.engines.scripted import ScriptedEngine
from charter.errors import ModelError

HUB = "huggingface"


def open_engine(
    model: str, *, hf_api_key: str | None = None, endpoint_url: str | None = None, use_mock: bool = False
) -> Engine:
    """Open a model by the arguments of the answer-improvement library.

    Args:
        model: an embedded name, a model's or adapter's folder, or a hub id; of a hosted one, as the server calls it.
        hf_api_key: the token, which an environment variable must hold: engines take keys from there alone.
        endpoint_url: where the model is served by an OpenAI-compatible server, with a token or without one; an address
            without a path gets ``/v1``. With a token alone it is Hugging Face's own.
        use_mock: a scripted engine answers, and no model is loaded.

    Raises:
        ModelError: where there is no such model or server, or no variable holds the token.
        EngineError: where the server gives no answer.
    """
    if use_mock:
        return ScriptedEngine()
    if endpoint_url is None and hf_api_key is None:
        from charter.engines.transformers import TransformersEngine

        return TransformersEngine(model)
    from charter.engines.http import HttpEngine

    server = HUB if endpoint_url is None else _with_path(endpoint_url)
    return HttpEngine(model, server, key_name=None if hf_api_key is None else _variable_of(hf_api_key))


def _with_path(url: str) -> str:
    """Give the address at which an endpoint speaks OpenAI's protocol: the library named its root."""
    try:
        is_root = urlsplit(url).path in {"", "/"}
    except ValueError:
        return url  # whoever connects says what is wrong with it
    return f"{url.rstrip('/')}/v1" if is_root else url


def _variable_of(key: str) -> str:
    """Name the variable that holds a key, so that the key itself goes no further."""
    name = next((name for name, value in os.environ.items() if value.strip() == key.strip() and name.isupper()), None)
    if name is None or not key.strip():
        raise ModelError(
            "hf_api_key holds a token that no environment variable holds; set one, such as HF_TOKEN, and give "
            "os.environ['HF_TOKEN'], or give an HttpEngine with key_name in place of the model's name"
        )
    return name
