"""Small runs on the scripted engine, for tests of what reads a run folder."""

from __future__ import annotations

import contextlib
import html
import json
import re
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from charter.engines.base import Engine
from charter.engines.pool import Pool
from charter.engines.specs import ModelSpec
from charter.pipeline import run_stages
from charter.recipe import Recipe, load_recipe
from charter.runs.folder import open_run
from charter.stages import STAGES

RECIPE = """\
name: small
constitution: harmless
models: {policy: {name: small, engine: scripted}}
prompts: {n_train: 6, n_train_helpful: 6, n_evaluation: 4, n_evaluation_helpful: 4}
pairs: {n: 16}
"""

#: The stages that a recipe does only where it says so.
IF_ASKED = {"preference_model", "rl"}
#: The stages of the small recipe, which asks for none of them.
SMALL_STAGES = tuple(name for name in STAGES if name not in IF_ASKED)


def small_recipe(folder: Path, *overrides: str) -> Recipe:
    """Write the recipe into a folder and read it with overrides."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "small.yaml"
    path.write_text(RECIPE, "utf-8")
    return load_recipe(path, overrides)


def small_run(folder: Path, stages: Sequence[str], *overrides: str, again: str | None = None) -> Path:
    """Do stages of the small recipe, and give the run's folder."""
    recipe = small_recipe(folder, *overrides)
    with open_run(recipe, folder / "run", recipe_text=RECIPE) as run:
        run_stages(run, stages, again=again)
    return folder / "run"


def make_engines(monkeypatch: pytest.MonkeyPatch, make: Callable[[ModelSpec], Engine]) -> None:
    """Let runs make the engine of each model by a function of the test's own."""
    monkeypatch.setattr(Pool, "_load", lambda _, spec: make(spec))


def table_bytes(run: Path) -> dict[str, bytes]:
    """Read a run's tables as they are on the disk."""
    return {path.name: path.read_bytes() for path in sorted((run / "data").glob("*.parquet"))}


def journal_rows(run: Path) -> list[tuple[str, str, str, str]]:
    """Read what became of every row: stage, id, status, and the result or the reason."""
    with contextlib.closing(sqlite3.connect(run / "journal.sqlite")) as database:
        return database.execute("SELECT stage, row, status, payload FROM rows ORDER BY stage, row").fetchall()


def summaries(run: Path) -> dict[str, Any]:
    """Read what each stage counted, without the time and the calls that it took."""
    found = {path.stem: json.loads(path.read_text("utf-8")) for path in (run / "stages").iterdir()}
    return {
        stage: {key: value for key, value in one.items() if key not in {"seconds", "usage"}}
        for stage, one in found.items()
    }


def page_words(page: Path) -> str:
    """Read what a report says to a reader."""
    text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", page.read_text("utf-8"), flags=re.DOTALL)
    return " ".join(html.unescape(text).replace("\u00a0", " ").split())
