"""What must not leave this machine in a file: keys, by their values and by their form, and paths of this machine.

Every byte of a file is looked at: texts in windows, tables cell by cell (they are compressed), weights by their header
and, for values of secrets that are known here, as a whole. A finding never holds what was found.
"""

from __future__ import annotations

import io
import json
import mmap
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import UserError
from charter.files.env_file import read_env_file
from charter.recipe.secrets import KEY_FORMS, Form, is_secret

Content = Path | bytes

_SHORTEST_SECRET = 8  # characters: shorter values, such as "1" or "none", stand everywhere
_WINDOW = 1 << 24
_OVERLAP = 1 << 13  # more than what any pattern spans
_ROWS_AT_ONCE = 512
_HEADER_BYTES = 8  # how long the header of a safetensors file says that it is
_MOST_HEADER_BYTES = 100_000_000  # which the format itself allows
_FOLDERS_OF_ANYBODY = (
    Form(
        "a path in a home folder",
        ("/home/", "Users"),
        re.compile(
            r"(?<![\w.~%/-])(?:file://)?/(?:home|Users)/[\w.-]+"
            r"|(?<![A-Za-z0-9])[A-Za-z]:(?:\\{1,2}|/)Users(?:\\{1,2}|/)[\w.-]+"
        ),
    ),
    Form(
        "a path in a temporary folder",
        ("/tmp/", "/var/"),  # noqa: S108 - looked for, not written to
        re.compile(r"(?<![\w.~%/-])(?:file://)?/(?:tmp|var/tmp|var/folders|private/tmp)/[\w.-]+"),
    ),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a file that is to stay here.

    ``place`` is a line or a row and column, ``n`` says in how many places of the file the same kind is. A finding that
    is no secret is a path.
    """

    file: str
    place: str
    kind: str
    is_secret: bool
    n: int = 1

    def __str__(self) -> str:
        more = f" (and {self.n - 1} more)" if self.n > 1 else ""
        return f"{self.file}, {self.place}: {self.kind}{more}"


@dataclass(frozen=True)
class Known:
    """What to look for on this machine: ``secrets`` by where each is from, and ``folders`` by what each is."""

    secrets: Mapping[str, str]
    folders: Mapping[str, str]


def gather_known(run: Path) -> Known:
    """Take the values of secret-like variables, of a file ``.env`` and of the hub's login, and folders of this machine.

    Values are held in memory for the search alone. A variable that names a file holds no secret itself.
    """
    secrets = {
        f"the value of {name}{where}": value.strip()
        for where, values in (("", os.environ), (" in .env", _env_file()))
        for name, value in values.items()
        if is_secret(name)
    }
    secrets["the saved login of Hugging Face"] = _saved_login()
    folders = {
        "a path of the run's own folder": str(run.resolve()),
        "a path in your home folder": str(Path.home()),
        "a path in this machine's temporary folder": tempfile.gettempdir(),
    }
    return Known(
        {told: value for told, value in secrets.items() if len(value) >= _SHORTEST_SECRET and not _is_file(value)},
        {told: folder for told, folder in folders.items() if len(folder) > 1},
    )


def find_leaks(files: Mapping[str, Content], known: Known) -> list[Finding]:
    """Look through files for what must not leave this machine.

    Args:
        files: a path or the bytes themselves, by the name that each is to have elsewhere.
        known: see ``gather_known``.

    Returns:
        For each file and kind the first place; secrets first.

    Raises:
        UserError: for a file that cannot be read, or is not what its name says.
    """
    search = _Search(known)
    found = [finding for name, content in files.items() for finding in _in_file(name, content, search)]
    return sorted(found, key=lambda one: not one.is_secret)


class _Search:
    """What is looked for, ready to be looked for."""

    def __init__(self, known: Known) -> None:
        self.secrets = (*(_value_form(told, value) for told, value in known.secrets.items()), *KEY_FORMS)
        self.paths = (*(_folder_form(told, folder) for told, folder in known.folders.items()), *_FOLDERS_OF_ANYBODY)
        self.values = {told: value.encode() for told, value in known.secrets.items()}

    def look(self, text: str) -> Iterator[tuple[str, bool, int]]:
        """Give the kind of each finding, whether it is a secret, and where it begins.

        What several kinds of path say of one place is said once.
        """
        taken: set[int] = set()
        for forms, secret in ((self.secrets, True), (self.paths, False)):
            for form in forms:
                for found in form.find(text):
                    if secret or found.start() not in taken:
                        taken.add(found.start())
                        yield form.kind, secret, found.start()


def _value_form(told: str, value: str) -> Form:
    """Look for a value as it is, and as JSON writes it."""
    written = tuple(dict.fromkeys((value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])))
    return Form(told, written, re.compile("|".join(map(re.escape, written))))


def _folder_form(told: str, folder: str) -> Form:
    return Form(told, (folder,), re.compile(rf"(?<![\w.~-]){re.escape(folder)}(?![\w-])"))


class _Findings:
    """The findings in one file: the first of each kind, and how many there are."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.first: dict[tuple[str, bool], str] = {}
        self.n: dict[tuple[str, bool], int] = {}

    def add(self, kind: str, place: str, *, is_secret: bool) -> None:
        key = kind, is_secret
        self.first.setdefault(key, place)
        self.n[key] = self.n.get(key, 0) + 1

    def __iter__(self) -> Iterator[Finding]:
        for (kind, secret), place in self.first.items():
            yield Finding(self.file, place, kind, secret, self.n[kind, secret])


def _in_file(name: str, content: Content, search: _Search) -> Iterator[Finding]:
    found = _Findings(name)
    try:
        _LOOKS.get(Path(name).suffix, _in_text)(content, search, found)
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror or error})") from error
    return iter(found)


def _in_text(content: Content, search: _Search, found: _Findings) -> None:
    line = 1
    for text, n_new in _windows(content):
        for kind, secret, start in search.look(text):
            if start < n_new:  # what begins behind that is in the next window too
                found.add(kind, f"line {line + text.count(chr(10), 0, start)}", is_secret=secret)
        line += text.count("\n", 0, n_new)


def _windows(content: Content) -> Iterator[tuple[str, int]]:
    """Give a file piece by piece as text, each with the beginning of the next, and how much of it is its own."""
    # Bytes that are no text become characters of their own, so that nothing is lost where a window cuts one in two.
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
        piece = file.read(_WINDOW)
        while piece:
            following = file.read(_WINDOW)
            text = (piece + following[:_OVERLAP]).decode("utf-8", "surrogateescape")
            own = len(piece.decode("utf-8", "surrogateescape")) if following else len(text)
            yield text, own
            piece = following


def _in_table(content: Content, search: _Search, found: _Findings) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.BufferReader(content) if isinstance(content, bytes) else content) as table:
            for kind, secret, _ in search.look(_metadata(table.schema_arrow)):
                found.add(kind, "the table's schema", is_secret=secret)
            n_before = 0
            for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE):
                for column, values in batch.to_pydict().items():
                    _in_column(column, values, n_before, search, found)
                n_before += batch.num_rows
    except pa.ArrowException as error:
        raise UserError(f"{found.file}: is no table ({error}); do its stage again") from error


def _metadata(schema: Any) -> str:
    held = [schema.metadata or {}, *(field.metadata or {} for field in schema)]
    pairs = [(key, value) for one in held for key, value in one.items()]
    return "\n".join([*schema.names, *(part.decode("utf-8", "replace") for pair in pairs for part in pair)])


def _in_column(column: str, values: list[Any], n_before: int, search: _Search, found: _Findings) -> None:
    if not any(True for _ in search.look("\n".join(text for value in values for text in _texts(value)))):
        return
    for number, value in enumerate(values, n_before + 1):
        for text in _texts(value):
            for kind, secret, _ in search.look(text):
                found.add(kind, f"row {number}, column {column!r}", is_secret=secret)


def _texts(value: Any) -> Iterator[str]:
    """Give every text in a cell, whatever it is nested in."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, dict):
        for key, one in value.items():
            yield str(key)
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def _in_weights(content: Content, search: _Search, found: _Findings) -> None:
    """Read the header as text, where alone weights have any, and look in the numbers for the very values of secrets."""
    assert isinstance(content, Path)  # noqa: S101 - weights are files: only cards and configurations are made here
    with content.open("rb") as file:
        n_header = int.from_bytes(file.read(_HEADER_BYTES), "little")
        if not 0 < n_header <= _MOST_HEADER_BYTES:
            raise UserError(f"{found.file}: is no safetensors file: its header would be {n_header:,} bytes long")
        for kind, secret, _ in search.look(file.read(n_header).decode("utf-8", "replace")):
            found.add(kind, "the header", is_secret=secret)
        if not search.values:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            for kind, value in search.values.items():
                place = whole.find(value, _HEADER_BYTES + n_header)
                if place >= 0:
                    found.add(kind, f"byte {place}", is_secret=True)


_LOOKS: Mapping[str, Callable[[Content, _Search, _Findings], None]] = {
    ".parquet": _in_table,
    ".safetensors": _in_weights,
}


def _is_file(value: str) -> bool:
    try:
        return "/" in value and Path(value).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # no path at all
        return False


def _env_file() -> Mapping[str, str]:
    try:
        return read_env_file()
    except UserError:
        return {}  # nothing reads keys from it either


def _saved_login() -> str:
    from huggingface_hub import constants

    try:
        return Path(constants.HF_TOKEN_PATH).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
