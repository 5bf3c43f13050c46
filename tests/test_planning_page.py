"""The page on planning shows what its commands print."""

from __future__ import annotations

import shlex

import pytest

from charter.cli import main
from pages import DOCS, ROOT, Block, blocks

SHOWN = [block for block in blocks(DOCS / "planning.md") if block.language == "console"]
WITH_OUTPUT = [block for block in SHOWN if not block.text.splitlines()[-1].startswith("$ ")]


def test_the_page_has_a_table_of_growth() -> None:
    """A thousand, a hundred thousand and ten million prompts, of 7B on eight H200 and of 135M on a laptop."""
    commands = " ".join(block.text.splitlines()[0] for block in WITH_OUTPUT)
    assert commands.count("--prompts 1k,100k,10M") == len(WITH_OUTPUT) >= 2
    assert "--hardware h200x8 --size 7b" in commands
    assert "--hardware cpu-2 --size 135m" in commands


@pytest.mark.parametrize("block", WITH_OUTPUT, ids=str)
def test_outputs_are_fresh(block: Block, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each block holds the command's output as it is now: run it again and paste what it prints."""
    monkeypatch.chdir(ROOT)
    command, output = block.text.split("\n", 1)
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(command.removeprefix("$ "))[1:])
    assert ended.value.code == 0
    assert capsys.readouterr().out.rstrip() == output.rstrip()
