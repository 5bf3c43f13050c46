"""``charter serve``: vLLM's own server for a model, with the adapters of runs on it."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated

import typer

from charter.cli import console
from charter.cli.options import examples
from charter.errors import ModelError, UserError

_TRAINED = ("sft", "dpo")


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
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="What is served: an embedded name, a model's or an adapter's folder, a Hugging Face id; or a run's "
            "folder, whose base is served with what was trained on it.",
            show_default=False,
        ),
    ],
    adapter: Annotated[
        list[str] | None,
        typer.Option(
            "--adapter",
            metavar="NAME=FOLDER",
            help="An adapter of this model, and its name; may be given several times.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What the model is called; by default as it is named here.")
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Where it answers; 0.0.0.0 lets every machine of the network in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The port there.")] = 8000,
    dtype: Annotated[str, typer.Option("--dtype", help="auto, bfloat16, float16 or float32.")] = "auto",
    max_rows: Annotated[int, typer.Option("--max-rows", min=1, help="Rows that one forward pass serves.")] = 256,
    n_context: Annotated[
        int | None,
        typer.Option("--n-context", min=64, help="The longest text in tokens.", show_default="what fits"),
    ] = None,
    memory_share: Annotated[
        float, typer.Option("--memory-share", min=0.05, max=1.0, help="Of a GPU's memory, for weights and caches.")
    ] = 0.9,
    n_gpus: Annotated[int, typer.Option("--n-gpus", min=1, help="GPUs over which each layer is divided.")] = 1,
    environment: Annotated[
        Path | None,
        typer.Option(
            "--environment",
            metavar="FOLDER",
            help="The environment that has vLLM; by default the one that CHARTER_VLLM names, else this one.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the command that starts the server, and end.")] = False,
) -> None:
    """Serve a model with vLLM, for 'engine: http' and every other client of OpenAI's interface.

    The server takes this command's place, and says for itself what it does. It answers only who brings the key in
    VLLM_API_KEY, where that is set. A recipe asks it by 'engine: http' and 'server: vllm', or by its address where the
    host or the port is another.
    """
    from charter.engines.vllm import HostSettings, find_python, look_into
    from charter.engines.vllm.launch import Launch, Room, room_for
    from charter.engines.vllm.server import server_command, server_environment

    served = _find(model, name, [_named(one) for one in adapter or ()])
    python = find_python(environment)
    settings = HostSettings(dtype, "auto", max_rows, n_context, memory_share, n_gpus)
    room = reduce(or_, map(room_for, served.adapters.values()), Room())
    launch = Launch(served.base, settings, look_into(python), room=room)
    command = server_command(python, launch, host=host, port=port, name=served.name, adapters=served.adapters)
    if show:
        console.write(shlex.join(command))
        return
    models = ", ".join((served.name, *served.adapters))
    console.note(f"vLLM serves {models} at http://{host}:{port}/v1 (Ctrl-C ends it)")
    os.execve(command[0], command, server_environment({"VLLM_LOGGING_LEVEL": "INFO", **os.environ}))  # noqa: S606 - ours


@dataclass(frozen=True)
class _Served:
    """A base's folder and name, and the adapters on it by theirs."""

    base: Path
    name: str
    adapters: dict[str, Path]


def _find(model: str, name: str | None, adapters: list[tuple[str, Path]]) -> _Served:
    """Find a model's files, fetching them where that is needed, and check that the adapters are its own."""
    from charter.cli.progress import make_progress
    from charter.engines.weights import resolve_model

    policy, trained = _of_run(Path(model))
    with make_progress() as progress:
        folder = resolve_model(policy or model, progress=progress.download)
    if folder.adapter is None or folder.base is None:
        put_on, called = [*trained, *adapters], name or policy or model
    else:
        put_on, called = [(name or folder.adapter.name, folder.adapter), *adapters], folder.base.name
    _check(folder.path, put_on)
    return _Served(folder.path, called, dict(put_on))


def _named(given: str) -> tuple[str, Path]:
    name, equals, folder = given.partition("=")
    if not (name and equals and folder):
        raise UserError(f"--adapter is {given!r}; expected NAME=FOLDER, such as tutor=runs/tutor/models/dpo")
    return name, Path(folder).expanduser().resolve()


def _of_run(folder: Path) -> tuple[str | None, list[tuple[str, Path]]]:
    """Name a run's policy, and what was trained on it, where a run's folder was given."""
    from charter.files.yaml_reading import read_yaml
    from charter.runs.place import RESOLVED

    if not (folder / RESOLVED).is_file():
        return None, []
    policy = read_yaml(folder / RESOLVED, error=UserError).data["models"]["policy"]["name"]
    trained = [(name, (folder / "models" / name).resolve()) for name in _TRAINED]
    return policy, [(name, place) for name, place in trained if place.is_dir()]


def _check(base: Path, adapters: list[tuple[str, Path]]) -> None:
    """Refuse two adapters of one name, and an adapter of another base.

    Raises:
        ModelError: for either.
    """
    from charter.engines.weights import resolve_model

    names = [name for name, _ in adapters]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ModelError(f"two adapters are called {twice!r}; give each a name of its own (--adapter NAME=FOLDER)")
    for name, place in adapters:
        found = resolve_model(str(place))
        if found.adapter is None:
            raise ModelError(f"--adapter {name}={place}: holds a whole model, not an adapter; serve it by itself")
        if found.path != base:
            raise ModelError(f"--adapter {name}={place}: was trained on {found.path}, not on {base}, which is served")
