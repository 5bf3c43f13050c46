"""Keys of servers: from the environment, or a file ``.env`` beside the work; from nowhere else, and to nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

from charter.engines.http.servers import Server
from charter.errors import ModelError


def find_key(server: Server, name: str | None = None) -> tuple[str, str | None]:
    """Find the key for a server: the variable's name, and its value where it has one.

    A server that is named by its address alone gets a key only where the variable is named: whose the usual one is
    and where it would go, nobody has said.

    Raises:
        ModelError: where there is none, and the server answers nobody without one or the variable was named.
    """
    names = (name,) if name else server.key_names
    usual = names[0]
    if name is None and server.name == "compatible":
        return usual, None
    kept = _read_env_file()
    for one in names:
        value = (os.environ.get(one) or kept.get(one) or "").strip()
        if value:
            return one, _checked(one, value)
    if name is not None or server.needs_key:
        raise ModelError(
            f"there is no key for {server.name}: set the environment variable {usual}, or put {usual}=... into a file "
            f".env in {Path.cwd()}"
        )
    return usual, None


def _checked(name: str, key: str) -> str:
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ModelError(f"the key in {name} holds characters that no key has; copy it anew")
    return key


def _read_env_file() -> dict[str, str]:
    from dotenv import dotenv_values

    try:
        # As it is written: a key may hold what looks like a variable.
        found = dotenv_values(".env", interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{Path.cwd() / '.env'} cannot be read ({error}); it should hold lines of NAME=value"
        ) from error
    return {name: value for name, value in found.items() if value}
