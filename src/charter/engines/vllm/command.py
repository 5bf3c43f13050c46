"""How vLLM's own server is started: its command, and what of our environment it gets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from charter.engines.vllm.launch import Launch, default_environment

#: A folder for the server's path: what refuses those who come without the key.
DOOR = Path(__file__).with_name("door")

#: What the server asks for; where it is set, nobody is answered without it.
KEY = "VLLM_API_KEY"

# Names of what others gave us keys for: a model is on this machine by now, and its server asks nobody anything.
_SECRET = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL)S?(?:_|$)", re.IGNORECASE
)


def server_command(
    python: Path,
    launch: Launch,
    at: Path | tuple[str, int],
    *,
    name: str,
    adapters: Mapping[str, Path] | None = None,
    has_key: bool,
) -> list[str]:
    """Write the command that starts vLLM's server.

    Args:
        python: of the environment that has vLLM.
        launch: what is loaded, and how.
        at: where it answers: a socket's path, or an address and a port there.
        name: how it calls the base.
        adapters: by the names that it gives them.
        has_key: whether only those are answered who bring the key; it is in the environment, which has a door.
    """
    # The command line of the CPU build looks for a distribution of another name, and finds none.
    on_cpu = ("-m", "vllm.entrypoints.openai.api_server")
    command = [str(python), *(on_cpu if launch.on_cpu else ("-m", "vllm.entrypoints.cli.main", "serve"))]
    place = {"uds": at} if isinstance(at, Path) else {"host": at[0], "port": at[1]}
    serving = {**place, "served_model_name": name, "enable_prompt_tokens_details": True}
    for key, value in (launch.arguments | serving).items():
        flag = f"--{key.replace('_', '-')}"
        if isinstance(value, bool):
            command.append(flag if value else f"--no-{flag.removeprefix('--')}")
        else:
            command += [flag, *(value if isinstance(value, list) else [str(value)])]
    if has_key:
        command += ["--middleware", "charter_door.Door"]
    if adapters:
        command += ["--lora-modules", *(f"{known}={path}" for known, path in adapters.items())]
    return command


def server_environment(environment: Mapping[str, str], key: str | None = None) -> dict[str, str]:
    """Give vLLM's server an environment: ours, without secrets and ``PYTHONPATH``, which belongs to our Python.

    Args:
        environment: ours.
        key: what the server asks for; None lets everybody in.
    """
    kept = {name: value for name, value in environment.items() if name != "PYTHONPATH" and not _SECRET.search(name)}
    given = (
        default_environment() | kept | {"PYTHONSAFEPATH": "1"}
    )  # no module of the working folder takes another one's place
    return given if key is None else given | {KEY: key, "PYTHONPATH": str(DOOR)}
