"""Folders of Parquet files, one or several for each split, as datasets of the hub lie there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from charter.errors import PromptError
from charter.records import Split

_SPLIT_FILE = re.compile(r"(?P<split>[\w.]+?)(?:-\d{5}-of-\d{5})?\.parquet")


def split_files(folder: Path) -> Mapping[str, list[Path]]:
    """Find the files of each split of a folder, in their order; none where it holds no Parquet files."""
    found: dict[str, list[Path]] = {}
    for path in sorted({*folder.glob("*.parquet"), *folder.glob("data/*.parquet")}):
        found.setdefault(split_named(path), []).append(path)
    return found


def choose_files(folder: Path, files: Mapping[str, list[Path]], split: str | None) -> list[Path]:
    """Choose the files of a split, or of several that are joined by ``+``; None takes the one that there is.

    Raises:
        PromptError: where there is no such split, or there are several and none was chosen.
    """
    names = list(files) if split is None else splits_named(split)
    missing = next((name for name in names if name not in files), None)
    if missing is not None or (split is None and len(files) > 1):
        problem = "choose one with 'split'" if missing is None else f"there is no {missing!r}"
        raise PromptError(f"{folder}: has the splits {', '.join(files)}; {problem}")
    return [path for name in names for path in files[name]]


def splits_named(split: str) -> list[str]:
    """Take apart the name of a split: ``train_sft+train_prefs`` is two."""
    return [name.strip() for name in split.split("+")]


def split_named(path: Path) -> str:
    """Read off a Parquet file's name of which split it is."""
    found = _SPLIT_FILE.fullmatch(path.name)
    return found["split"] if found else ""


def evaluation_split(name: str) -> Split:
    """Say which side a dataset's split is on: what begins with ``test`` or ``eval`` is held out."""
    return "evaluation" if name.lower().startswith(("test", "eval", "valid")) else "train"
