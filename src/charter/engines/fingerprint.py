"""What a folder's files hash to, remembered so that asking again is instant."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from charter.engines.downloads import cache_dir, is_content
from charter.errors import ModelError
from charter.files.writing import replace_whole
from charter.seeds import digest

# Keys that say where a folder lay and what wrote it, not what its model answers.
_CIRCUMSTANCES = frozenset(
    {
        "_name_or_path",
        "base_model_name_or_path",
        "is_local",
        "local_files_only",
        "name_or_path",
        "peft_version",
        "tokenizer_file",
        "transformers_version",
    }
)
_CONFIGURATIONS = frozenset({"config.json", "generation_config.json", "adapter_config.json", "tokenizer_config.json"})
# Two writes within one tick of the file system's clock leave the same time: too fresh a file is not remembered.
_FRESH_NS = 2_000_000_000


def fingerprint_folder(folder: Path, *, with_code: bool = False) -> str:
    """Hash what determines a folder's answers: weights, configuration, tokenizer and templates.

    A folder that is moved, or saved again by another release, keeps its fingerprint; a changed weight, token or
    template changes it.

    Args:
        folder: a model's or an adapter's folder.
        with_code: whether Python files count, as they do where they are run.

    Returns:
        A sha256 in 64 hexadecimal digits.

    Raises:
        ModelError: for a file that cannot be read or a configuration that is not JSON.
    """
    try:
        paths = _content_files(folder, with_code=with_code)
        remembered = _recall()
        known = {path: _known_hash(path, remembered) for path in paths}
        fresh = {path: _hash(path) for path, value in known.items() if value is None}
    except OSError as error:
        raise ModelError(f"cannot read the model in {folder}: {error}") from error
    _remember(fresh)
    return digest({path.relative_to(folder).as_posix(): known[path] or fresh[path] for path in paths})


def _content_files(folder: Path, *, with_code: bool) -> list[Path]:
    candidates = [*folder.iterdir(), *(folder / "additional_chat_templates").glob("*")]
    return sorted(
        path
        for path in candidates
        if path.is_file() and is_content(path.relative_to(folder).as_posix(), with_code=with_code)
    )


def _hash(path: Path) -> str:
    if path.name in _CONFIGURATIONS:
        return _hash_configuration(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_configuration(path: Path) -> str:
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}; fetch or save the model again") from error
    if isinstance(value, dict):
        value = {key: entry for key, entry in value.items() if key not in _CIRCUMSTANCES}
    # Some configurations hold Infinity, which canonical JSON refuses and Python's own reads and writes.
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _known_hash(path: Path, remembered: dict[str, Any]) -> str | None:
    match remembered.get(str(path.resolve())):
        case [state, str(value)] if state == _state(path):
            return value
        case _:
            return None


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _memory() -> Path:
    return cache_dir() / "fingerprints.json"


def _recall() -> dict[str, Any]:
    # A memory that cannot be read costs a second of hashing, no more.
    try:
        value = json.loads(_memory().read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _remember(hashes: dict[Path, str]) -> None:
    now = time.time_ns()
    entries = {
        str(path.resolve()): [_state(path), value]
        for path, value in hashes.items()
        if now - path.stat().st_mtime_ns > _FRESH_NS
    }
    if not entries:
        return
    merged = {**_recall(), **entries}
    text = json.dumps({key: merged[key] for key in _present(merged)})
    # Two processes may write at once: one of them loses what it remembered, and hashes once more.
    with contextlib.suppress(OSError):
        _memory().parent.mkdir(parents=True, exist_ok=True)
        replace_whole(_memory(), lambda temporary: temporary.write_text(text, "utf-8"), shared=True)


def _present(paths: Iterable[str]) -> list[str]:
    return [path for path in paths if os.path.exists(path)]  # noqa: PTH110 - one call a path, of possibly many
