"""What every download of a model shares: where files go, whether they fit, and how far it is."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import platformdirs

from charter.errors import ModelError

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many bytes are done, and of how many (0: unknown); from any thread."""

CACHE_VARIABLE = "CHARTER_CACHE"

# What of a model's folder is its content: weights, configuration, tokenizer and templates. Patterns of ``fnmatch``
# over paths relative to the folder, whose ``*`` also matches a slash.
CONTENT = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "spiece.model",
    "tekken.json",
    "chat_template*",
    "additional_chat_templates/*",
)
# A second copy of the same weights in another layout doubles a download, and no loader here reads it.
NOT_CONTENT = ("consolidated*", "*/*.safetensors", "*/*.json", "*/tokenizer*")

_POLL_SECONDS = 0.2
_GIGABYTE = 1e9


def cache_dir() -> Path:
    """Find the folder where Charter keeps what it can make again: ``CHARTER_CACHE``, else the system's cache."""
    given = os.environ.get(CACHE_VARIABLE, "")
    return Path(given).expanduser().absolute() if given else Path(platformdirs.user_cache_dir("charter"))


def content_patterns(*, with_code: bool) -> tuple[list[str], list[str]]:
    """Say which files belong to a model, and which of those do not, as the hub's client takes them.

    Args:
        with_code: whether Python files count, as they do where they are run.
    """
    return [*CONTENT, *(["*.py"] if with_code else [])], list(NOT_CONTENT)


def is_content(path: str, *, with_code: bool) -> bool:
    """Tell whether a path relative to a model's folder belongs to the model (see ``content_patterns``)."""
    wanted, unwanted = content_patterns(with_code=with_code)
    return any(fnmatchcase(path, pattern) for pattern in wanted) and not any(
        fnmatchcase(path, pattern) for pattern in unwanted
    )


def require_space(folder: Path, n_bytes: int, what: str) -> None:
    """Raise ``ModelError`` unless the disk that holds ``folder`` (which need not exist yet) has the room."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < n_bytes:
        raise ModelError(
            f"not enough disk space for {what}: it needs {n_bytes / _GIGABYTE:.1f} GB in {folder}, and "
            f"{free / _GIGABYTE:.1f} GB is free; make room, or keep it elsewhere ({CACHE_VARIABLE} for embedded "
            "models, HF_HOME for models of the hub)"
        )


@contextlib.contextmanager
def reported_growth(progress: Progress | None, what: str, folder: Path, total: int) -> Iterator[None]:
    """Report a download that something else writes, by the size of the folder that it grows.

    Args:
        progress: told twice at least, at the start and at the end; None for silence.
        what: what is being done.
        folder: where the bytes arrive; what it holds already counts as done.
        total: how many bytes it will hold.
    """
    if progress is None:
        yield
        return
    finished = threading.Event()

    def report() -> None:
        while not finished.wait(_POLL_SECONDS):
            progress(what, min(_size(folder), total), total)

    progress(what, min(_size(folder), total), total)
    watcher = threading.Thread(target=report, name="charter-download-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()
    progress(what, total, total)


def _size(folder: Path) -> int:
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            # A file may be renamed between its listing and its measuring.
            with contextlib.suppress(FileNotFoundError):
                size += (Path(place) / name).lstat().st_size
    return size
