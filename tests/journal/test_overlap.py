from __future__ import annotations

import contextlib
import resource
import sqlite3
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from charter.errors import JournalError
from charter.journal import overlap
from charter.journal.overlap import Overlap, find_overlap
from charter.journal.records import Outcome
from charter.journal.store import Journal
from journal.journal_damage import disorder, hide

DONE = Outcome("done", '{"text":"é {x} %s"}')


def journals(folder: Path, *rows: Sequence[tuple[str, str]]) -> list[Path]:
    """Make journals that hold an end of these rows of stages."""
    paths = [folder / f"{number}.sqlite" for number in range(len(rows))]
    for path, own in zip(paths, rows, strict=True):
        with Journal(path) as journal:
            for stage, row in own:
                journal.record(stage, row, DONE)
    return paths


def test_a_row_that_two_journals_hold_is_named(tmp_path: Path) -> None:
    """Of a stage or a part of one, and with both journals; other stages and other rows do not meet."""
    first, second, third = paths = journals(
        tmp_path,
        [("revise", "a"), ("label", "b"), ("evaluate/probes", "c")],
        [("revise", "b"), ("label", "a"), ("evaluate/harm", "c")],
        [("revise", "c"), ("label", "b"), ("evaluate/harm", "c")],
    )
    assert find_overlap(paths, ["revise"]) is None
    assert find_overlap(paths, ["revise", "label"]) == Overlap("label", "b", (first, third))
    assert find_overlap(paths, ["evaluate"]) == Overlap("evaluate/harm", "c", (second, third))
    assert find_overlap([first, second], ["revise", "label", "evaluate"]) is None
    assert find_overlap([], ["revise"]) is None


def test_a_damaged_record_is_no_end(tmp_path: Path) -> None:
    """Where one of two is damaged they do not meet, and another row in which whole ones meet is found all the same."""
    first, second = paths = journals(tmp_path, [("revise", "a"), ("revise", "b")], [("revise", "a"), ("revise", "b")])
    for row, found in (("a", Overlap("revise", "b", (first, second))), ("b", None)):
        with sqlite3.connect(second) as database:
            database.execute("UPDATE rows SET payload = 'damaged' WHERE row = ?", (row,))
        database.close()
        assert find_overlap(paths, ["revise"]) == found


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_damaged_index_hides_no_overlap(tmp_path: Path, n: int) -> None:
    """A row that the index of one journal, or of both, does not know is found in the records."""
    paths = journals(tmp_path, [("revise", row) for row in "abz"], [("revise", row) for row in "cdz"])
    hide(paths[0], n)
    assert find_overlap(paths, ["revise"]) == Overlap("revise", "z", (paths[0], paths[1]))
    hide(paths[1], n)
    disorder(paths[1])
    assert find_overlap(paths, ["revise"]) == Overlap("revise", "z", (paths[0], paths[1]))


def test_one_journal_does_not_overlap_with_itself(tmp_path: Path) -> None:
    """A row that stands there twice, since the index did not find it, is one that one shard did."""
    (path,) = journals(tmp_path, [("revise", row) for row in "abz"])
    hide(path)
    with Journal(path) as journal:
        journal.record("revise", "z", DONE)
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM rows NOT INDEXED WHERE row = 'z'").fetchone() == (2,)
    (tmp_path / "other").mkdir()
    (other,) = journals(tmp_path / "other", [("revise", "c")])
    assert find_overlap([path, other], ["revise"]) is None


def test_rows_are_not_held_in_memory(tmp_path: Path) -> None:
    """Four times 5,000 rows leave no key behind: the rows are sorted in a file."""
    paths = journals(tmp_path, *([("revise", f"{number}-{row}") for row in range(5_000)] for number in range(4)))
    tracemalloc.start()
    try:
        assert find_overlap(paths, ["revise"]) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500_000  # bytes; a dict of the keys alone takes 3 MB


def test_no_room_to_sort_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the rows do not fit into what is left for temporary files, the error says where and what to do."""
    paths = journals(tmp_path, [("revise", f"row-{row}") for row in range(5_000)])
    monkeypatch.setattr(overlap, "_KIB_HELD", 40)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(JournalError, match=r"the rows of 1 journals cannot be sorted in .* \(.*Make room there"):
            find_overlap(paths, ["revise"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
