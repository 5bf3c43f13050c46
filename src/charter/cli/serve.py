"""``charter serve``: vLLM's own server for a model, with the adapters of runs on it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from charter.cli import console
from charter.cli.options import examples
from charter.errors import UserError

_Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="What is served: an embedded name, a model's or an adapter's folder, a Hugging Face id; or a run's "
        "folder, whose base is served with what was trained on it.",
        show_default=False,
    ),
]
_Adapters = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter",
        metavar="NAME=FOLDER",
        help="An adapter of this model, and its name; may be given several times.",
        show_default=False,
    ),
]
_Name = Annotated[str | None, typer.Option("--name", help="What the model is called; by default as it is named here.")]
_Address = Annotated[
    str, typer.Option("--host", help="Where it answers; 0.0.0.0 lets every machine of the network in.")
]
_Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="The port there.")]
_NumberFormat = Annotated[str, typer.Option("--dtype", help="auto, bfloat16, float16 or float32.")]
_MaxRows = Annotated[int, typer.Option("--max-rows", min=1, help="Rows that one forward pass serves.")]
_Context = Annotated[
    int | None, typer.Option("--n-context", min=64, help="The longest text in tokens.", show_default="what fits")
]
_MemoryShare = Annotated[
    float, typer.Option("--memory-share", min=0.05, max=1.0, help="Of a GPU's memory, for weights and caches.")
]
_Gpus = Annotated[int, typer.Option("--n-gpus", min=1, help="GPUs over which each layer is divided.")]
_Compiled = Annotated[
    bool | None,
    typer.Option(
        "--compiled/--not-compiled",
        help="Whether layers are compiled, a minute at the start.",
        show_default="on a GPU alone",
    ),
]
_Environment = Annotated[
    Path | None,
    typer.Option(
        "--environment",
        metavar="FOLDER",
        help="The environment that has vLLM; by default the one that CHARTER_VLLM names, else this one.",
        show_default=False,
    ),
]
_Show = Annotated[bool, typer.Option("--show", help="Print the command that starts the server, and end.")]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "serve",
        epilog=examples(
            "charter serve smollm2-135m",
            "charter serve runs/smoke",
            "charter serve mistralai/Mistral-7B-Instruct-v0.3 --adapter tutor=runs/tutor/models/dpo --n-gpus 2",
            "CHARTER_VLLM=~/vllm charter serve smollm2-135m --show",
        ),
    )(serve)


def serve(  # noqa: PLR0917 - the command line names them
    model: _Model,
    adapter: _Adapters = None,
    name: _Name = None,
    host: _Address = "127.0.0.1",
    port: _Port = 8000,
    dtype: _NumberFormat = "auto",
    max_rows: _MaxRows = 256,
    n_context: _Context = None,
    memory_share: _MemoryShare = 0.9,
    n_gpus: _Gpus = 1,
    compiled: _Compiled = None,
    environment: _Environment = None,
    show: _Show = False,
) -> None:
    """Serve a model with vLLM, for 'engine: http' and every other client of OpenAI's interface.

    The server takes this command's place, and says for itself what it does. With a key in VLLM_API_KEY it answers only
    who brings that, whatever is asked but whether it is there (/health); of other keys and tokens in the environment it
    gets none. A recipe asks it by 'engine: http' and 'server: vllm', or by its address where the host or the port is
    another.
    """
    from charter.cli.progress import make_progress
    from charter.engines.vllm import HostSettings, begin_launch, find_python
    from charter.engines.vllm.command import KEY, server_command, server_environment
    from charter.runs.served import find_served

    with make_progress() as progress:
        served = find_served(model, name, [_named(one) for one in adapter or ()], progress.download)
    python = find_python(environment)
    settings = HostSettings(dtype, "auto", max_rows, n_context, memory_share, n_gpus, compiled)
    launch = begin_launch(served.base, settings, python, served.adapters.values())
    key = os.environ.get(KEY) or None
    at = host, port
    command = server_command(python, launch, at, name=served.name, adapters=served.adapters, has_key=key is not None)
    begun = server_environment({"VLLM_LOGGING_LEVEL": "INFO", **os.environ}, key)
    if show:
        console.write(shlex.join([*_beginning(begun), *command]))
        return
    models = ", ".join((served.name, *served.adapters))
    console.note(f"vLLM serves {models} at http://{host}:{port}/v1 (Ctrl-C ends it)")
    os.execve(command[0], command, begun)  # noqa: S606 - ours


def _beginning(begun: Mapping[str, str]) -> list[str]:
    """Write what a shell has to change in its own environment; a key stays there."""
    without = [part for variable in sorted(os.environ.keys() - begun.keys()) for part in ("-u", variable)]
    changed = {variable: value for variable, value in begun.items() if os.environ.get(variable) != value}
    return ["env", *without, *(f"{variable}={value}" for variable, value in changed.items())]


def _named(given: str) -> tuple[str, Path]:
    name, equals, folder = given.partition("=")
    if not (name and equals and folder):
        raise UserError(f"--adapter is {given!r}; expected NAME=FOLDER, such as tutor=runs/tutor/models/dpo")
    return name, Path(folder).expanduser().resolve()
