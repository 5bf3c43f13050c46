"""Constitutions, recipes, tables and models that somebody hostile made are refused by name, and do nothing."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from charter.engines.base import CompletionRequest, Sampling
from charter.engines.transformers import TransformersEngine
from charter.errors import CharterError
from charter.records import Message
from cli.command import Command
from faults.hostile import CANARY, CONSTITUTIONS, ENDLESS, MODELS, RECIPES, TABLES
from faults.points import point, some

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(300)]

_SECONDS = 30.0


def _tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _refused(charter: Command, place: Path, file: str, *command: str | Path) -> str:
    """Run a command that must refuse a file by its name, quickly, and leave nothing behind; how it did it."""
    before, began = _tree(place), time.monotonic()
    done = charter(*command)
    said = done.out + done.err
    assert "Traceback" not in said
    assert "fault of Charter" not in said, said[:2000]
    assert not (place / CANARY).exists()
    assert _tree(place) == before
    assert time.monotonic() - began < _SECONDS
    assert done.code == 2, said[:2000]
    assert file in said, said[:2000]
    return "refused by name"


@pytest.mark.parametrize("case", some(list(CONSTITUTIONS), 12))
def test_a_hostile_constitution_is_refused(charter: Command, place: Path, case: str) -> None:
    """By its file, as a person would look at it; nothing is run, read without end or written."""
    with point("hostile constitutions", case) as tried:
        CONSTITUTIONS[case](place)
        name = "c.json" if (place / "c.json").exists() else "c.yaml"
        tried.outcome = _refused(charter, place, name, "constitution", "check", f"./{name}")


@pytest.mark.parametrize("case", some(list(RECIPES), 10))
def test_a_hostile_recipe_is_refused(charter: Command, place: Path, case: str) -> None:
    """Before it runs, in one of its errors."""
    with point("hostile recipes", case) as tried:
        RECIPES[case](place)
        tried.outcome = _refused(charter, place, "error", "run", "r.yaml", "--until", "prompts")


@pytest.mark.parametrize("case", some(list(TABLES), 8))
def test_a_hostile_table_is_refused(charter: Command, place: Path, case: str) -> None:
    """By its file, whatever kind of file it says it is."""
    with point("hostile tables of prompts", case) as tried:
        TABLES[case](place)
        name = next(path.name for path in place.iterdir() if path.name.startswith("t"))
        tried.outcome = _refused(charter, place, name, "prompts", "read", f"./{name}", "red_team")


def _answer(model: Path) -> str:
    """Load a model and have it answer, as a run does."""
    engine = TransformersEngine(model, device="cpu")
    try:
        asked = CompletionRequest(messages=(Message(role="user", content="Hi"),), sampling=Sampling(max_tokens=2))
        return asyncio.run(engine.complete(asked)).text
    finally:
        engine.close()


@pytest.mark.model
@pytest.mark.parametrize("case", some(list(MODELS), 12))
def test_a_hostile_model_is_refused(tiny_model: Path, tmp_path: Path, case: str) -> None:
    """When its folder is looked at, when it is loaded, or when it is first asked: with an error of ours."""
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    MODELS[case](model, tmp_path)
    before = _tree(tmp_path)
    with point("hostile models", case) as tried:
        began = time.monotonic()
        with pytest.raises(CharterError) as raised:
            _answer(model)
        assert not (tmp_path / CANARY).exists()
        assert _tree(tmp_path) == before
        assert time.monotonic() - began < _SECONDS
        tried.outcome = f"refused: {type(raised.value).__name__}"


_ENDLESS = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from charter.errors import CharterError
from faults.test_hostile_files import _answer
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
try:
    _answer(Path(sys.argv[2]))
except CharterError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.model
@pytest.mark.parametrize("case", some(list(ENDLESS), 0))
def test_a_template_without_end_is_ended(tiny_model: Path, tmp_path: Path, case: str) -> None:
    """What would take all time, or all memory, is an error of ours within half a minute."""
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    ENDLESS[case](model, tmp_path)
    with point("hostile models", case) as tried:
        tests = str(Path(__file__).parents[1])
        done = subprocess.run(
            [sys.executable, "-c", _ENDLESS, tests, str(model)],
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert "template" in done.stdout
        tried.outcome = f"refused: {done.stdout.split()[0]}"
