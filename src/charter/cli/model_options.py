"""Which model a verb asks, and how it is reached: a model in this process, a server's, or none at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from charter.engines.specs import ModelSpec

IN_PROCESS, SCRIPTED = "transformers", "scripted"
_OF_VLLM = "vllm", "vllm-server"

Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="E",
        help="transformers; vllm, or vllm-server in an environment of its own; a server: openai, huggingface, "
        "llama-server, ollama, or addresses (with commas between them); or scripted, which writes made-up prose "
        "without a model, to try the command.",
    ),
]


def model_spec(model: str, engine: str) -> ModelSpec:
    """Say what is to be loaded, or who is to be asked.

    Raises:
        ModelError: where ``engine`` is no engine, no server and no address.
    """
    from charter.engines.specs import ModelSpec
    from charter.errors import ModelError
    from charter.spelling import hint

    if engine == IN_PROCESS:
        return ModelSpec(name=model)
    if engine == SCRIPTED:
        return ModelSpec(name=model, engine="scripted")
    if engine in _OF_VLLM:
        return ModelSpec(name=model, engine="vllm" if engine == "vllm" else "vllm-server")
    from charter.engines.http.servers import SERVERS, find_server

    places = tuple(place.strip() for place in engine.split(","))
    servers = [name for name in SERVERS if name not in _OF_VLLM]
    near = hint(engine, [IN_PROCESS, *_OF_VLLM, SCRIPTED, *servers])
    if len(places) == 1 and engine not in SERVERS and "://" not in engine:
        raise ModelError(
            f"--engine is {engine!r}; expected {IN_PROCESS}, {', '.join(_OF_VLLM)}, {SCRIPTED}, a server "
            f"({', '.join(servers)}), or an "
            f"address, such as http://localhost:8000/v1{near}"
        )
    find_server(places)
    return ModelSpec(name=model, engine="http", server=places[0] if len(places) == 1 else places)
