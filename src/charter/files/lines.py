"""Files that grow by lines, each with its digest: what a killed process left torn is cut off, and no more."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from charter.files.writing import cannot_be_written

_DIGITS = 16


def append_line(path: Path, value: Any) -> None:
    """Write a JSON value behind those that are there, and wait until it is on the disk.

    Raises:
        RunError: where the disk is full or the file cannot be written.
    """
    text = json.dumps(value).encode("utf-8")
    try:
        with path.open("ab") as file:
            file.write(_digest(text) + b" " + text + b"\n")
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
    values, end = [], 0
    for line in content.splitlines(keepends=True):
        told, _, text = line.partition(b" ")
        if not text.endswith(b"\n") or told != _digest(text[:-1]):
            break
        values.append(json.loads(text))
        end += len(line)
    if end < len(content):
        os.truncate(path, end)
    return values


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:_DIGITS].encode("ascii")
