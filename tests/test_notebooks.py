"""The notebooks run from their first cell to their last, as in Jupyter: in one namespace, inside a running loop.

Cells are run here without a kernel, which would bring fifteen packages: what differs is that nothing shows figures.
"""

from __future__ import annotations

import ast
import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from pages import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read_cells(path: Path) -> list[dict[str, Any]]:
    """Read a notebook's cells."""
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["cells"]
    return found


def codes(path: Path) -> list[CodeType]:
    """Compile the cells of code."""
    cells = ["".join(cell["source"]) for cell in read_cells(path) if cell["cell_type"] == "code"]
    return [
        compile(cell, f"{path.name}, cell {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for number, cell in enumerate(cells, 1)
    ]


async def run(cells: Sequence[CodeType]) -> dict[str, Any]:
    """Run cells as a kernel does: one after another, each awaited where it awaits something."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        coroutine = eval(cell, names)  # noqa: S307 - our own cells
        if coroutine is not None:
            await coroutine
    return names


@every_notebook
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    """What a machine printed is no part of the file; every cell has a name, and the first one of code installs."""
    book = json.loads(path.read_text("utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    cells = read_cells(path)
    assert len({cell["id"] for cell in cells}) == len(cells)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []
    assert 'find_spec("charter")' in "".join(code[0]["source"])
    assert cells[0]["cell_type"] == "markdown"


def test_both_are_there() -> None:
    """The flow on one prompt, and the whole training."""
    assert [path.stem for path in NOTEBOOKS] == ["critique_revision", "training"]


@pytest.mark.slow
@pytest.mark.usefixtures("smollm2")
def test_critique_and_revision_on_one_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every step shows its text, and the one call shows both rounds with their flags."""
    monkeypatch.chdir(tmp_path)
    names = asyncio.run(run(codes(ROOT / "examples" / "critique_revision.ipynb")))
    printed = capsys.readouterr().out
    (trace,) = names["traces"].done
    assert [one.number for one in trace.rounds] == [1, 2]
    assert all(one.verdicts for one in trace.rounds)
    assert len(re.findall(r"^[12]\. \[[\w-]+; better than before: ", printed, re.MULTILINE)) == 2
    assert names["principle"].critique_request in printed
    assert names["request"].text.startswith(names["transcript"].critique(
        names["prompt"], names["initial"].text, names["principle"], names["sampling"]
    ).text)  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("smollm2")
@pytest.mark.timeout(1800)
def test_the_whole_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every stage is done, both models are trained, and the figures are printed with their number of rows."""
    monkeypatch.chdir(tmp_path)
    names = asyncio.run(run(codes(ROOT / "examples" / "training.ipynb")))
    printed = capsys.readouterr().out
    folder = names["folder"]
    assert (folder / "models" / "dpo" / "adapter_model.safetensors").exists()
    assert (folder / "report.html").exists()
    assert names["preferences"]
    assert re.search(r"\d+ steps, loss \d", printed)
    assert re.search(r"^over_refusal +\d\.\d\d, against the base .* n \d+$", printed, re.MULTILINE)
