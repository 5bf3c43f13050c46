"""A tutorial's commands that take seconds work as they stand, in their order, in an empty folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from charter.cli import main
from pages import DOCS, Block, blocks

TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))
GUIDES = [page for page in TUTORIALS if page.stem != "method"]  # which shows files to read
_COMMAND = re.compile(r"^\$ charter (.*)$", re.MULTILINE)


def is_run(block: Block) -> bool:
    """Tell whether a block's commands are done here; others load a model, or ask a server."""
    return block.language == "console" and ".run" in block.info


@pytest.mark.slow
@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_commands_work_in_their_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each ends well and prints something, with the files of the page beside it and nothing else."""
    monkeypatch.chdir(tmp_path)
    for block in blocks(page):
        if Path(block.title).suffix:
            Path(block.title).write_text(block.text, "utf-8")
        for line in _COMMAND.findall(block.text) if is_run(block) else ():
            with pytest.raises(SystemExit) as ended:
                main(shlex.split(line))
            printed = capsys.readouterr()
            assert ended.value.code == 0, f"{line}\n{printed.err}"
            assert printed.out.strip(), line


def test_every_tutorial_is_there() -> None:
    """The four pages, and in each at least two commands that are done here, and some that are the reader's."""
    assert [page.stem for page in GUIDES] == ["api-to-open-model", "first-constitution", "school-tutor", "two-cultures"]
    for page in GUIDES:
        shown = [(is_run(block), _COMMAND.findall(block.text)) for block in blocks(page)]
        assert sum(len(lines) for is_done, lines in shown if is_done) >= 2
        assert any(lines for is_done, lines in shown if not is_done)
