"""Records as Parquet and JSON lines: a schema from the record's own types, files written whole or not at all."""

from __future__ import annotations

import itertools
import json
import types
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeVar

from pydantic import BaseModel

from charter.errors import RunError
from charter.files.writing import cannot_be_written, replace_whole
from charter.records import Message, Prompt, PromptRow
from charter.seeds import canonical_json


class Row(Protocol):
    """A record that is a flat table row too."""

    def to_row(self) -> dict[str, Any]:
        """Flatten."""
        ...

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Read back."""
        ...


RowT = TypeVar("RowT", bound=Row)

_ROWS_IN_GROUP = 1_000

_PROMPT_TYPES: dict[str, Any] = {
    "prompt": str,
    "turns": tuple[Message, ...],
    "kind": str,
    "category": str,
    "split": str,
    "prompt_source": str,
    "prompt_id": str,
    "twin_of": str | None,
    "reference": str | None,
    "principle": str,
    "setting": str,
    "source_id": str,
}


def write_table(path: Path, records: Iterable[Row], kind: type[Row]) -> None:
    """Write records to a Parquet file, in their order, atomically; some are in memory at a time.

    The bytes depend on the records alone. ``kind`` gives the columns, also where there is no record.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(kind)

    def write(temporary: Path) -> None:
        left = iter(records)
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            while some := [record.to_row() for record in itertools.islice(left, _ROWS_IN_GROUP)]:
                writer.write_table(pa.Table.from_pylist(some, schema=schema))

    write_whole(path, write)


def read_table(path: Path, kind: type[RowT]) -> list[RowT]:
    """Read records that ``write_table`` wrote.

    Raises:
        RunError: where the file is missing or is not such a table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise RunError(f"{path}: no such file; run the stage that writes it first")
    try:
        rows = pq.read_table(path).to_pylist()
        return [kind.from_row(row) for row in rows]
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise RunError(f"{path}: not a table of {kind.__name__} rows ({error}); remove it and run its stage") from error


def check_table(path: Path) -> None:
    """Check that a file is a table, by its footer alone.

    Raises:
        RunError: where it is none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise RunError(f"{path}: is not a table ({error})") from error


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, readable by people."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    write_text(path, text)


def write_json_lines(path: Path, values: Iterable[Any]) -> None:
    """Write a file of JSON lines atomically, a value each in its one canonical form."""
    write_text(path, "".join(f"{canonical_json(value)}\n" for value in values))


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, its newlines untouched."""
    write_whole(path, lambda temporary: temporary.write_bytes(text.encode("utf-8")))


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file of a run atomically (see ``writing.replace_whole``), in a folder that is made where it is missing.

    Raises:
        RunError: where the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, write)
    except OSError as error:
        raise cannot_be_written(path, error) from error


def _schema(kind: type[Row]) -> Any:
    """Derive the Arrow schema from the record's fields, so that it never depends on the rows at hand."""
    import pyarrow as pa

    if not issubclass(kind, BaseModel):
        raise TypeError(f"{kind.__name__} is not a record")
    own = {name: field.annotation for name, field in kind.model_fields.items() if name != "prompt"}
    if issubclass(kind, PromptRow):
        columns = {"id": str, **_PROMPT_TYPES, **{name: hint for name, hint in own.items() if name != "id"}}
    elif issubclass(kind, Prompt):
        columns = {"id": str, **_PROMPT_TYPES}
    else:
        columns = own
    return pa.schema([pa.field(name, _arrow(hint)) for name, hint in columns.items()])


def _arrow(hint: Any) -> Any:
    import pyarrow as pa

    simple = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    if hint in simple:
        return simple[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return pa.string()
    if origin in (types.UnionType, typing.Union):
        return _arrow(next(one for one in inner if one is not type(None)))
    if origin is tuple:
        return pa.list_(_arrow(inner[0]))
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return pa.struct([(name, _arrow(field.annotation)) for name, field in hint.model_fields.items()])
    raise TypeError(f"no Arrow type for {hint!r}")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run.

    Raises:
        RunError: where it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file") from error
    except (ValueError, RecursionError, OSError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from error
