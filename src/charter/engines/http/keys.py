"""Keys of servers: from the environment, or a file ``.env`` beside the work; from nowhere else, and to nowhere else."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from charter.engines.http.servers import SERVERS, Server
from charter.errors import ModelError, UserError
from charter.files.env_file import read_env_file

_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")


def find_key(server: Server, name: str | None = None) -> tuple[str, str | None]:
    """Find the key for a server: the variable's name, and its value where it has one.

    A server that is named by its address alone gets none that is meant for another: the variable is named, or it is
    ``CHARTER_SERVER_KEY``, which is meant for such a server. The file is read where the environment has no key.

    Raises:
        ModelError: where there is none, and the server answers nobody without one or the variable was named; and
            where what should be a variable's name is none, for it may be a key.
    """
    if name and not _NAME.fullmatch(name):
        raise ModelError(
            "key_name is no name of an environment variable in capitals, such as OPENAI_API_KEY; name the variable, "
            "never the key itself"
        )
    names = (name,) if name else server.key_names
    usual = names[0]
    is_needed = name is not None or server.needs_key
    for kept in (os.environ, _read_env_file):
        held = kept(is_needed=is_needed) if callable(kept) else kept
        for one in names:
            value = held.get(one, "").strip()
            if value:
                return one, _checked(one, value)
    if is_needed:
        whose = server.name if server.name in SERVERS else ", ".join(server.base_urls)
        raise ModelError(
            f"there is no key for {whose}: set the environment variable {usual}, or put {usual}=... into a file "
            f".env in {Path.cwd()}"
        )
    return usual, None


def _checked(name: str, key: str) -> str:
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ModelError(f"the key in {name} holds characters that no key has; copy it anew")
    return key


def _read_env_file(*, is_needed: bool) -> Mapping[str, str]:
    """Read the file beside the work, as it is written; one that cannot be read matters where a key is needed."""
    try:
        return read_env_file()
    except UserError as error:
        if not is_needed:
            return {}
        raise ModelError(str(error)) from error
