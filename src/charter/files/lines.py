"""Files that grow by lines, each with its digest, so that what a killed process left torn is never taken for one."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import IO, Any

from charter.errors import RunError
from charter.files.writing import cannot_be_written

_DIGITS = 16


def append_line(path: Path, value: Any) -> None:
    """Write a JSON value behind those that are there, and wait until it is on the disk.

    Behind a line that is torn it begins a new one.

    Raises:
        RunError: where the disk is full or the file cannot be written.
    """
    text = json.dumps(value).encode("utf-8")
    try:
        with path.open("a+b") as file:
            file.write((b"" if _ends_whole(file) else b"\n") + _digest(text) + b" " + text + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise cannot_be_written(path, error) from error


def take_up_lines(path: Path) -> list[Any]:
    """Read the values of the whole lines, and cut off what follows them, so that more can be written behind them.

    Returns:
        None of them where there is no such file.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    values, end = list[Any](), 0
    for line in content.splitlines(keepends=True):
        found = _read(line)
        if found is None:
            break
        values += found
        end += len(line)
    if end < len(content):
        os.truncate(path, end)
    return values


def read_lines(path: Path) -> tuple[list[Any], int]:
    """Read the values of all whole lines, those behind a damaged one too; the file stays as it is.

    Returns:
        The values, and how many lines are damaged. None of either where there is no such file.

    Raises:
        RunError: where the file cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); check what it is, and its permissions") from error
    whole = [found for line in lines if (found := _read(line)) is not None]
    return [value for (value,) in whole], len(lines) - len(whole)


def _ends_whole(file: IO[bytes]) -> bool:
    """Tell whether the last line of a file is ended, or there is none."""
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _read(line: bytes) -> tuple[Any] | None:
    """Read a line's value, which may be None itself; None without a tuple of a line that is torn, or no JSON."""
    told, _, text = line.partition(b" ")
    if not text.endswith(b"\n") or told != _digest(text[:-1]):
        return None
    try:
        return (json.loads(text),)
    except (ValueError, RecursionError):
        return None


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:_DIGITS].encode("ascii")
