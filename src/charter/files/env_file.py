"""The file ``.env`` where somebody stands: lines of NAME=value, of which only what is asked for is used."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from charter.errors import UserError

NAME = ".env"
_MAX_BYTES = 1_000_000

#: What becomes of the file's names a variable of the process: the hub's token, and folders of what is only data. An
#: address, a library's path or ``HF_HOME``, which holds a login and code, would lead the token or this process astray
#: in a folder that somebody was given.
SECRETS = ("HF_TOKEN",)
OUTPUT_FOLDERS = {"sft": "SFT_OUTPUT_DIR", "dpo": "DPO_OUTPUT_DIR"}
FOLDERS = ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "CHARTER_CACHE", *OUTPUT_FOLDERS.values())


def read_env_file(*, interpolate: bool = False) -> Mapping[str, str]:
    """Read what has a value; nothing where there is no such file, or a folder of that name.

    Args:
        interpolate: whether ``${NAME}`` stands for a variable's value; a key may hold what only looks so.

    Raises:
        UserError: where it cannot be read; what is in it is not told.
    """
    text = _text_of(Path(NAME))
    if not text:
        return {}
    from dotenv import dotenv_values

    found = dotenv_values(stream=io.StringIO(text), interpolate=interpolate)
    return {name: value for name, value in found.items() if value}


def _text_of(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(error.strerror or type(error).__name__) from error
    if len(content) > _MAX_BYTES or b"\0" in content:
        raise _unreadable(f"it has more than {_MAX_BYTES:,} bytes, or is no text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(f"it is no UTF-8 at byte {error.start}") from None  # the error would quote all of the file


def _unreadable(why: str) -> UserError:
    return UserError(f"{Path.cwd() / NAME} cannot be read ({why}); it should hold lines of NAME=value")


def use_env_file(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the hub's token and folders from the file, as far as the environment says nothing of them.

    Raises:
        UserError: where the file cannot be read.
    """
    as_written, folders = read_env_file(), read_env_file(interpolate=True)
    found = {name: as_written[name] for name in SECRETS if name in as_written}
    found |= {name: _expanded(folders[name]) for name in FOLDERS if name in folders}
    for name, value in found.items():
        environment.setdefault(name, value)


def _expanded(folder: str) -> str:
    try:
        return str(Path(folder).expanduser())
    except RuntimeError:  # nobody of that name
        return folder
