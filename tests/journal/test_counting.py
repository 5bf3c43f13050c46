from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from charter.errors import JournalError
from charter.journal import reading
from charter.journal.counting import begun_stages, count_rows
from charter.journal.reading import reading_at_once
from charter.journal.records import FORGOTTEN, Outcome
from charter.journal.store import Journal
from journal.journal_damage import disorder, hide, index_page

ALL = ("revise", "pairs", "label", "evaluate")
KEPT = ("revise", "pairs", "evaluate")  # of which not all rows were forgotten: the index is enough
DONE = Outcome("done", '{"text":"é {x} %s"}')
AGAIN = Outcome("failed", FORGOTTEN)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of three stages, one in parts, with a row that was tried again; a fourth one was forgotten."""
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        for number in range(3):
            journal.record("revise", f"row-{number}", DONE)
            journal.record("label", f"row-{number}", AGAIN)
        journal.flush()
        journal.record("revise", "row-0", Outcome("failed", "no answer"))
        journal.record("pairs/own", "row-1", Outcome("filtered", "too long"))
        journal.record("pairs/own", "row-2", AGAIN)
        journal.record("revised", "row-1", DONE)
        journal.record("sft/helpful", "row-1", DONE)
    return path


def begun(path: Path, *names: str) -> set[str]:
    """Name those of the stages that are begun."""
    with reading_at_once(path) as reader:
        return begun_stages(reader, names or ALL)


def count(path: Path, *names: str) -> int:
    """Count the rows of stages."""
    with reading_at_once(path) as reader:
        return count_rows(reader, names)


def change(path: Path, *statements: str) -> None:
    """Change a journal behind its back."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def test_stages_and_rows_are_counted_but_for_what_was_forgotten(path: Path) -> None:
    """Parts count for their stage, a longer name does not, and what was forgotten counts for nothing."""
    assert begun(path) == {"revise", "pairs"}
    assert begun(path, "label", "evaluate") == set()
    assert (count(path, "revise"), count(path, "pairs", "label"), count(path, *ALL)) == (3, 1, 4)
    assert (count(path, "label"), count(path, "nothing"), count(path)) == (0, 0, 0)


def test_a_journal_that_is_empty_or_only_just_made_has_begun_nothing(tmp_path: Path) -> None:
    """Neither a file without tables nor tables without rows hold anything."""
    (tmp_path / "none.sqlite").touch()
    Journal(tmp_path / "empty.sqlite").close()
    for name in ("none.sqlite", "empty.sqlite"):
        assert (begun(tmp_path / name), count(tmp_path / name, *ALL)) == (set(), 0)


def test_what_rows_came_to_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages are named and rows counted where a result is longer than may be read; nothing looks at the results."""
    change(path, "UPDATE rows SET payload = hex(zeroblob(5000)) WHERE status = 'done'")
    monkeypatch.setattr(reading, "_MOST_BYTES", 5_000)
    with reading_at_once(path) as reader, pytest.raises(JournalError, match="too big"):
        list(reader.batches("rows", ("stage", "row", "status", "payload")))
    for names in (ALL, KEPT):
        assert (begun(path, *names), count(path, *names)) == ({"revise", "pairs"}, 4)


def test_a_stage_that_the_index_lacks_is_found(path: Path) -> None:
    """Entries that are gone from the index hide no stage, be they the only ones of one or all that there are."""
    with Journal(path) as journal:
        journal.record("evaluate/probes", "row-1", DONE)
    change(path, "DELETE FROM rows WHERE stage IN ('sft/helpful', 'revised', 'revise')")
    assert begun(path, *KEPT) == {"evaluate", "pairs"}
    hide(path, 2)
    assert begun(path, *KEPT) == begun(path) == {"evaluate", "pairs"}
    assert count(path, *ALL) == 2


@pytest.mark.parametrize("n", range(1, 10))
def test_any_number_of_entries_that_are_gone_hides_nothing(path: Path, n: int) -> None:
    """However many entries the index has lost, what is counted stays."""
    hide(path, n)
    assert (begun(path), count(path, *ALL)) == ({"revise", "pairs"}, 4)
    assert (begun(path, *KEPT), count(path, *KEPT)) == ({"revise", "pairs"}, 4)


def test_an_index_out_of_order_hides_nothing(path: Path) -> None:
    """What is not found where the index is asked for it is not passed over for that."""
    disorder(path)
    assert (begun(path), count(path, *ALL)) == ({"revise", "pairs"}, 4)
    assert (begun(path, *KEPT), count(path, *KEPT)) == ({"revise", "pairs"}, 4)


@pytest.mark.parametrize("sign", [0x00, 0x01, 0xFF])
def test_no_damaged_byte_of_the_index_hides_a_stage(path: Path, sign: int) -> None:
    """Whatever byte of the index is another one, no stage is passed over, and none is made up."""
    with Journal(path) as journal:
        journal.record("evaluate/probes", "row-1", DONE)
    whole = path.read_bytes()
    n_damaged = 0
    for place in index_page(path):
        if whole[place] or not place % 16:  # the empty middle of the page is of no account: some of it is enough
            data = bytearray(whole)
            data[place] ^= sign or whole[place]
            n_damaged += data != whole
            path.write_bytes(data)
            assert (place, begun(path)) == (place, {"revise", "pairs", "evaluate"})
            assert (place, begun(path, *KEPT)) == (place, {"revise", "pairs", "evaluate"})
    assert n_damaged > 200


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rows SET rowid = 9000000000000000000 WHERE stage = 'revised'",
        "UPDATE rows SET rowid = -3 WHERE stage = 'revised'",
        "UPDATE rows SET stage = CAST(stage AS BLOB) WHERE stage = 'revised'",
    ],
)
def test_records_in_places_that_no_journal_gives_them(path: Path, statement: str) -> None:
    """A journal may come from elsewhere: what stands at no place of ours takes no memory, and hides nothing."""
    change(path, statement)
    assert (begun(path), count(path, *ALL)) == ({"revise", "pairs"}, 4)


@pytest.mark.parametrize(
    "ending", ["PRIMARY KEY (stage, row)) WITHOUT ROWID", "PRIMARY KEY (row, stage))", "UNIQUE (row))"]
)
def test_tables_with_other_keys_are_counted_too(path: Path, ending: str) -> None:
    """Earlier journals keep rows in the index itself, and one from elsewhere may have any other."""
    change(
        path,
        "DELETE FROM rows WHERE stage != 'revise' AND stage != 'pairs/own' OR row = 'row-2' AND stage = 'pairs/own'",
        "UPDATE rows SET row = 'row-3' WHERE stage = 'pairs/own'",
        "ALTER TABLE rows RENAME TO before",
        "CREATE TABLE rows (stage TEXT NOT NULL, row TEXT NOT NULL, status TEXT NOT NULL, payload TEXT NOT NULL, "
        f"checksum BLOB NOT NULL, {ending}",
        "INSERT INTO rows SELECT * FROM before",
        "DROP TABLE before",
    )
    assert (begun(path), count(path, *ALL)) == ({"revise", "pairs"}, 4)


def test_damaged_records_themselves_are_told(path: Path) -> None:
    """Where the pages of the records cannot be read, that is said and nothing is counted."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'rows'").fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = bytes(4096)
    path.write_bytes(data)
    with pytest.raises(JournalError, match="It is damaged: restore the file"):
        begun(path)
