"""Text files of prompts, packed by gzip or not: UTF-8 alone, and no larger than a machine can hold."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Protocol

from charter.errors import PromptError

PACKED = ".gz"
MAX_BYTES = 2_000_000_000
MAX_LINE = 10_000_000  # characters of one cell, or of one line of JSON
_CHUNK = 1 << 20
_FREELY = 100_000_000  # bytes that a packed file may give, however small it is ...
_MAX_RATIO = (
    200  # ... and beyond them this many times its own size: text packs to a tenth or so, a bomb to a thousandth
)


def file_kind(path: Path) -> str:
    """Name the kind of file that a name ends in, in small letters: ``.csv``, also of ``.csv.gz``."""
    inner = path.with_suffix("") if path.suffix.lower() == PACKED else path
    return inner.suffix.lower()


def is_packed(path: Path) -> bool:
    """Tell by its name whether a file is packed by gzip."""
    return path.suffix.lower() == PACKED


def read_text(path: Path) -> str:
    """Read a whole text file, unpacked where its name ends in ``.gz``; a byte order mark is no part of it.

    Raises:
        PromptError: where it cannot be read, is too large, or is not UTF-8, with the line.
    """
    raw = _bytes(path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise PromptError(
            f"{path}:{line}: the byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error


def _bytes(path: Path) -> bytes:
    try:
        if is_packed(path):
            limit = min(MAX_BYTES, max(_FREELY, path.stat().st_size * _MAX_RATIO))
            with gzip.open(path) as packed:
                return _at_most(packed, limit, f"{path}: unpacks to more than {limit // 1_000_000} MB")
        with path.open("rb") as file:  # a device or pipe has no size to ask for
            return _at_most(file, MAX_BYTES, f"{path}: is larger than {MAX_BYTES // 1_000_000_000} GB")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise PromptError(
            f"{path}: cannot be unpacked ({error}); fetch it or pack it anew, or, where it is not packed at all, name "
            "it .gz no more"
        ) from error
    except OSError as error:
        raise PromptError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error


class _Bytes(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _at_most(file: _Bytes, limit: int, problem: str) -> bytes:
    found = bytearray()
    while chunk := file.read(_CHUNK):
        found += chunk
        if len(found) > limit:
            raise PromptError(f"{problem}; split it, or save it as Parquet")
    return bytes(found)
