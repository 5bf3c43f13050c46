"""Which model a verb asks, and how it is reached: a model in this process, a server's, or none at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from charter.engines.pool import ModelSpec

IN_PROCESS, SCRIPTED = "transformers", "scripted"

Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="E",
        help="transformers; a server: openai, huggingface, vllm, llama-server, ollama, or addresses (with commas "
        "between them); or scripted, which writes made-up prose without a model, to try the command.",
    ),
]


def model_spec(model: str, engine: str) -> ModelSpec:
    """Say what is to be loaded, or who is to be asked.

    Raises:
        ModelError: where ``engine`` is no engine, no server and no address.
    """
    from charter.engines.pool import ModelSpec
    from charter.errors import ModelError
    from charter.spelling import hint

    if engine == IN_PROCESS:
        return ModelSpec(name=model)
    if engine == SCRIPTED:
        return ModelSpec(name=model, engine="scripted")
    from charter.engines.http.servers import SERVERS, find_server

    places = tuple(place.strip() for place in engine.split(","))
    near = hint(engine, [IN_PROCESS, SCRIPTED, *SERVERS])
    if len(places) == 1 and engine not in SERVERS and "://" not in engine:
        raise ModelError(
            f"--engine is {engine!r}; expected {IN_PROCESS}, {SCRIPTED}, a server ({', '.join(SERVERS)}), or an "
            f"address, such as http://localhost:8000/v1{near}"
        )
    find_server(places)
    return ModelSpec(name=model, engine="http", server=places[0] if len(places) == 1 else places)
