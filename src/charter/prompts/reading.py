"""Readers of rows: CSV, TSV, JSON lines, JSON, Parquet, plain lines, Hugging Face datasets.

Each row comes with its place.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from charter.errors import PromptError
from charter.files.hub_ids import is_dataset_id
from charter.prompts.json_rows import read_json, read_json_lines
from charter.prompts.separated import read_csv, read_tsv
from charter.prompts.source_rows import SourceRow
from charter.prompts.table_folders import choose_files, split_files, splits_named
from charter.prompts.text_files import MAX_BYTES, file_kind, is_packed, read_text

__all__ = ["SourceRow", "read_rows"]

_ROWS_AT_ONCE = 10_000  # of a Parquet file
_ROWS_FREELY = 1_000_000  # that a Parquet file may have, however small it is; beyond them one for each byte


def read_rows(source: str, *, split: str | None = None) -> list[SourceRow]:
    """Read every row of a file, a folder of Parquet files, a ``save_to_disk`` folder or a Hugging Face dataset id.

    Raises:
        PromptError: naming the file, the line and what is wrong, or that there is no row.
    """
    rows = list(_rows(source, split))
    if not rows:
        raise PromptError(f"{source}: it holds no rows; give at least one")
    return rows


def _rows(source: str, split: str | None) -> Iterator[SourceRow]:
    path = Path(source)
    if path.is_dir():
        files = split_files(path)
        return _parquet_files(choose_files(path, files, split)) if files else _dataset_folder(path, split)
    if path.exists():
        reader = (_TEXT_READERS if is_packed(path) else _TEXT_READERS | {".parquet": _parquet}).get(file_kind(path))
        if reader is None:
            known = ", ".join(sorted((*_TEXT_READERS, ".parquet")))
            raise PromptError(
                f"{path}: unknown kind of file {''.join(path.suffixes[-2:])!r}; known: {known}, and those of text "
                "packed as .gz"
            )
        return reader(path)
    if is_dataset_id(source):
        return _hub_dataset(source, split)
    raise PromptError(
        f"{source}: no such file. Expected a CSV, TSV, JSON-lines, JSON, Parquet or text file, a saved dataset's "
        "folder, or a Hugging Face dataset id (owner/name)."
    )


def _lines(path: Path) -> Iterator[SourceRow]:
    """Read a prompt a line; blank lines are none."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield SourceRow({"prompt": line.removesuffix("\r")}, f"{path}:{number}")


def _parquet(path: Path) -> Iterator[SourceRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _require_size(path, file.metadata)
            rows = itertools.chain.from_iterable(batch.to_pylist() for batch in file.iter_batches(_ROWS_AT_ONCE))
            for number, values in enumerate(rows, start=1):
                yield SourceRow(values, f"{path} row {number}", str(path))
    except (pa.ArrowException, OSError) as error:
        raise PromptError(f"{path}: not a Parquet file ({error}); check how it was written") from error


def _require_size(path: Path, metadata: Any) -> None:
    """Refuse what unpacks to far more than any table of texts does: a text that is repeated takes next to no room.

    Raises:
        PromptError: where it has more rows, or says more bytes, than a file of its size can.
    """
    n_bytes = path.stat().st_size
    unpacked = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    if metadata.num_rows > max(_ROWS_FREELY, n_bytes) or unpacked > MAX_BYTES:
        raise PromptError(
            f"{path}: unpacks to {metadata.num_rows:,} rows and {unpacked / 1e6:,.0f} MB, from {n_bytes:,} bytes; "
            "split it, or leave out what is repeated"
        )


def _parquet_files(paths: Sequence[Path]) -> Iterator[SourceRow]:
    for path in paths:
        yield from _parquet(path)


def _dataset_folder(path: Path, split: str | None) -> Iterator[SourceRow]:
    import datasets

    try:
        loaded = datasets.load_from_disk(str(path))
    except IndexError:  # what datasets makes of a saved dataset without rows
        return
    except (FileNotFoundError, ValueError, OSError) as error:
        raise PromptError(
            f"{path}: not a folder that datasets' save_to_disk wrote ({error}); name a file in it, or save it anew"
        ) from error
    if split is not None and not hasattr(loaded, "keys"):
        raise PromptError(f"{path}: is one dataset without splits; leave out 'split' ({split!r})")
    yield from _dataset(loaded, str(path), split)


def _hub_dataset(name: str, split: str | None) -> Iterator[SourceRow]:
    import datasets

    try:
        loaded = datasets.load_dataset(name, split=split)
    except (OSError, ValueError, RuntimeError) as error:
        raise PromptError(
            f"{name}: neither a file here nor a dataset that the Hugging Face Hub gave ({error}). Check the name, the "
            "network, and HF_TOKEN for a private one."
        ) from error
    yield from _dataset(loaded, name, split)


def _dataset(loaded: Any, name: str, split: str | None) -> Iterator[SourceRow]:
    if hasattr(loaded, "keys"):
        if split is None and len(loaded) > 1:
            raise PromptError(f"{name}: has the splits {', '.join(loaded)}; choose one with 'split'")
        names = splits_named(split) if split else [next(iter(loaded))]
        missing = next((one for one in names if one not in loaded), None)
        if missing is not None:
            raise PromptError(f"{name}: has no split {missing!r}, only {', '.join(loaded)}")
        loaded = itertools.chain(*(loaded[one] for one in names))
    for number, values in enumerate(loaded, start=1):
        yield SourceRow(dict(values), f"{name} row {number}", name)


_TEXT_READERS = {
    ".txt": _lines,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
}
