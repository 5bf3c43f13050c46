"""What is known of a kind of server before it is asked: where it is, whose key it takes, and what it must be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from charter.errors import ModelError
from charter.spelling import hint


@dataclass(frozen=True)
class Server:
    """A kind of OpenAI-compatible server.

    Args:
        name: how recipes call it.
        base_urls: where it is; several share the load.
        key_names: environment variables that may hold its key, the first that is set counts.
        needs_key: whether it answers nobody without one.
        limit_key: how it calls the most tokens that it may draw.
        n_top: the likeliest tokens that it tells at most.
        n_stops: the stop strings that it takes at most.
        untruncated: what keeps it from bending the distribution by defaults of its own, such as a ``top_k``.
        owners: what it calls itself in its list of models.
        takes_grammar: whether it can be held to drawing one of the options (its log-probabilities stay those of the
            model). llama.cpp tells none at all of an end, or of a token that is half a character.
        keeps_connections: whether connections may stay open between calls. llama.cpp has few threads, and each waits
            for seconds at an open connection, while the calls of others lie.
    """

    name: str
    base_urls: tuple[str, ...] = ()
    key_names: tuple[str, ...] = ("OPENAI_API_KEY",)
    needs_key: bool = False
    limit_key: str = "max_tokens"
    n_top: int = 20
    n_stops: int = 4
    untruncated: Mapping[str, Any] = field(default_factory=dict)
    owners: frozenset[str] = frozenset()
    takes_grammar: bool = False
    keeps_connections: bool = True


_ANY = Server("compatible", key_names=("CHARTER_SERVER_KEY",))
# Hugging Face's dedicated endpoints: each has an address of its own, and takes the token of whoever began it.
_ENDPOINTS, _ENDPOINT_KEYS = ".endpoints.huggingface.cloud", ("HF_TOKEN", *_ANY.key_names)
_KNOWN = (
    Server(
        "openai",
        ("https://api.openai.com/v1",),
        needs_key=True,
        limit_key="max_completion_tokens",
        owners=frozenset({"openai", "openai-internal", "system"}),
    ),
    Server("huggingface", ("https://router.huggingface.co/v1",), ("HF_TOKEN",), needs_key=True),
    Server(
        "vllm",
        ("http://localhost:8000/v1",),
        ("VLLM_API_KEY",),
        n_stops=64,
        untruncated={"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},  # its older versions take no top_k of 0
        owners=frozenset({"vllm"}),
    ),
    Server(
        "llama-server",
        ("http://localhost:8080/v1",),
        ("LLAMA_API_KEY",),
        n_top=100,
        n_stops=64,
        untruncated={"top_k": 0, "min_p": 0.0, "typical_p": 1.0, "repeat_penalty": 1.0},
        owners=frozenset({"llamacpp"}),
        takes_grammar=True,
        keeps_connections=False,
    ),
    Server("ollama", ("http://localhost:11434/v1",), ("OLLAMA_API_KEY",), owners=frozenset({"library"})),
)
SERVERS: Mapping[str, Server] = {server.name: server for server in _KNOWN}
_EXPECTED = (
    f"one of {', '.join(SERVERS)}, or the address of an OpenAI-compatible server, such as http://localhost:8000/v1"
)


def find_server(where: str | tuple[str, ...]) -> Server:
    """Find a server by its name, or make one of the addresses at which it answers.

    Raises:
        ModelError: for a name that is none, or an address that is none.
    """
    places = (where,) if isinstance(where, str) else where
    if len(places) == 1 and places[0] in SERVERS:
        return SERVERS[places[0]]
    if not places:
        raise ModelError(f"no server is named: expected {_EXPECTED}")
    urls = tuple(dict.fromkeys(_checked(place) for place in places))
    key_names = _ENDPOINT_KEYS if all(map(_is_endpoint, urls)) else _ANY.key_names
    return replace(_ANY, base_urls=urls, key_names=key_names)


def recognise(server: Server, owner: str) -> Server:
    """Take a server for the kind that it says it is, where it was named by its address alone."""
    if server.name != _ANY.name:
        return server
    known = next((one for one in _KNOWN if owner in one.owners), None)
    return server if known is None else replace(known, base_urls=server.base_urls, needs_key=False)


def is_local(url: str) -> bool:
    """Tell whether an address is one of this machine."""
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


def _is_endpoint(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and (parts.hostname or "").endswith(_ENDPOINTS)


def _checked(url: str) -> str:
    # Before anything is quoted: an address that holds a password may be malformed besides.
    if any(sign in url for sign in "@?#"):
        raise ModelError(
            "the address of a server holds a name, a password or a query (@, ? or #), which would be written into the "
            "run; give the plain address, and put the key into an environment variable (key_name)"
        )
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port beyond all ports, a bracket too few
        is_address = False
    if not is_address or any(sign.isspace() for sign in url):
        raise ModelError(f"{url!r} is no server: expected {_EXPECTED}{hint(url, list(SERVERS))}")
    return url.rstrip("/")
