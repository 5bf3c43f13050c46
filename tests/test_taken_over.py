"""Answers of another run, taken over where the same is asked: a changed constitution asks only what changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from charter.constitution import load_constitution, write_constitution
from charter.engines.cache import BorrowingMemory, DictMemory
from charter.errors import JournalError
from charter.files.tables import read_table
from charter.journal.reading import RecordedAnswers
from charter.journal.store import Journal
from charter.pipeline import run_stages
from charter.recipe import load_recipe
from charter.records import Trace
from charter.runs.folder import open_run
from run_examples import RECIPE, table_bytes

STAGES = ("prompts", "revise", "sft", "pairs", "label", "dpo", "evaluate")


def _run(folder: Path, *overrides: str, answers_of: Sequence[Path] = ()) -> tuple[Path, int, int]:
    """Do a small run; its folder, and how many answers were asked for and taken over."""
    folder.mkdir(exist_ok=True)
    (folder / "small.yaml").write_text(RECIPE, "utf-8")
    recipe = load_recipe(folder / "small.yaml", overrides)
    with open_run(recipe, folder / "run", recipe_text=RECIPE, answers_of=answers_of) as run:
        run_stages(run, STAGES)
        borrowed = run.memory.n_borrowed
    with sqlite3.connect(folder / "run" / "journal.sqlite") as database:
        n_asked = database.execute("SELECT count(*) FROM completions").fetchone()[0]
    return folder / "run", n_asked, borrowed


def test_the_same_recipe_asks_nothing_anew(tmp_path: Path) -> None:
    """Every answer is there, and every table comes out the same; the old run's journal is only read."""
    first, n_answers, _ = _run(tmp_path / "one")
    before = (first / "journal.sqlite").read_bytes()
    second, n_again, n_borrowed = _run(tmp_path / "two", answers_of=[first])
    assert n_borrowed == n_again == n_answers > 0
    assert table_bytes(second) == table_bytes(first)
    assert (first / "journal.sqlite").read_bytes() == before


def test_a_reworded_principle_is_asked_anew_and_nothing_else(tmp_path: Path) -> None:
    """Of a constitution that changed in one request, the answers to all other questions are taken over."""
    first, n_answers, _ = _run(tmp_path / "one")
    drawn = read_table(first / "data" / "traces.parquet", Trace)[0].rounds[0].principle
    harmless = load_constitution("harmless")
    principles = tuple(
        one.model_copy(update={"critique_request": "Say whether the response is kind."}) if one.id == drawn else one
        for one in harmless.principles
    )
    write_constitution(harmless.model_copy(update={"principles": principles}), tmp_path / "changed.yaml")
    _, n_again, n_borrowed = _run(tmp_path / "two", f"constitution={tmp_path / 'changed.yaml'}", answers_of=[first])
    assert 0 < n_again - n_borrowed < n_answers / 2
    alone, _, _ = _run(tmp_path / "three", f"constitution={tmp_path / 'changed.yaml'}")
    assert table_bytes(tmp_path / "two" / "run") == table_bytes(alone), "what is taken over changes no result"


def test_a_damaged_answer_is_asked_anew(tmp_path: Path) -> None:
    """An answer whose checksum does not hold is none."""
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.put("a", "whole")
        journal.put("b", "broken")
    with sqlite3.connect(tmp_path / "journal.sqlite") as database:
        database.execute("UPDATE completions SET payload = 'other' WHERE key = 'b'")
    own = DictMemory()
    with RecordedAnswers(tmp_path / "journal.sqlite") as answers:
        memory = BorrowingMemory(own, [answers])
        assert [memory.get(key) for key in ("a", "b", "c", "a")] == ["whole", None, None, "whole"]
        assert memory.n_borrowed == 1
    assert own.get("a") == "whole"


@pytest.mark.parametrize("content", [None, b"no journal", b""])
def test_a_file_that_is_no_journal_is_named(tmp_path: Path, content: bytes | None) -> None:
    """The error names the file, whatever lies there."""
    if content is not None:
        (tmp_path / "journal.sqlite").write_bytes(content)
    with pytest.raises(JournalError, match=r"journal\.sqlite"):
        RecordedAnswers(tmp_path / "journal.sqlite")


def test_a_run_that_is_not_there_leaves_nothing_behind(tmp_path: Path) -> None:
    """A mistyped name is told before the new run has a folder."""
    with pytest.raises(JournalError, match="nowhere"):
        _run(tmp_path / "two", answers_of=[tmp_path / "nowhere"])
    assert [one.name for one in (tmp_path / "two").iterdir()] == ["small.yaml"]
