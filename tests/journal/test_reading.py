from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from charter.errors import JournalError
from charter.journal import reading
from charter.journal.reading import Counted, Recorded, RecordedAnswers, count_journal, read_journal, reading_at_once
from charter.journal.records import Outcome, checksum_of
from charter.journal.store import Journal

DONE = Outcome("done", '{"text":"é {x} %s"}')
NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with two rows."""
    folder = tmp_path / "a run? #1"
    folder.mkdir()
    with Journal(folder / "journal.sqlite") as journal:
        journal.record("revise", "row-1", DONE)
        journal.record("label", "row-1", Outcome("failed", "no answer"))
        journal.keep_tally("revise", "{}")
    return folder / "journal.sqlite"


def names(path: Path) -> list[str]:
    """Name what lies beside a journal, and itself."""
    return sorted(one.name for one in path.parent.iterdir())


def test_what_was_recorded_is_read_without_a_trace(path: Path) -> None:
    """Rows and tallies come back, and neither the file nor its folder is changed."""
    before = path.read_bytes(), path.stat().st_mtime_ns
    found = read_journal(path)
    assert found.outcomes == {"revise": {"row-1": DONE}, "label": {"row-1": Outcome("failed", "no answer")}}
    assert (found.tallies, found.n_damaged) == ({"revise": "{}"}, 0)
    assert names(path) == ["journal.sqlite"]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_journal_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    """No journal, and one that was only just made, hold nothing."""
    assert read_journal(tmp_path / "none") == Recorded({}, {}, 0)
    (tmp_path / "empty").touch()
    assert read_journal(tmp_path / "empty") == Recorded({}, {}, 0)


def test_a_run_under_way_is_read_as_far_as_it_is(path: Path) -> None:
    """What another process has flushed is seen, though it stands in the log alone."""
    with Journal(path) as journal:
        journal.record("label", "row-2", DONE)
        journal.flush()
        assert set(read_journal(path).outcomes["label"]) == {"row-1", "row-2"}
        journal.record("label", "row-3", DONE)
    assert set(read_journal(path).outcomes["label"]) == {"row-1", "row-2", "row-3"}


@pytest.mark.parametrize("when", ["between", "in the middle"])
def test_a_run_that_begins_while_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """What was read of a file taken to be at rest is thrown away where somebody wrote in the meantime."""
    read = reading._contents
    writing: list[Journal] = []

    def reads(database: sqlite3.Connection) -> Recorded:
        found = read(database)
        if not writing:
            writing.append(Journal(path))
            writing[0].record("label", "row-2", DONE)
            writing[0].flush()
            if when == "in the middle":
                raise sqlite3.DatabaseError("malformed")
        return found

    monkeypatch.setattr(reading, "_contents", reads)
    assert set(read_journal(path).outcomes["label"]) == {"row-1", "row-2"}
    writing[0].close()


def test_damaged_records_are_left_out_and_counted(path: Path) -> None:
    """A row whose checksum fails counts as missing."""
    with sqlite3.connect(path) as database:
        database.execute("UPDATE rows SET payload = CAST(x'ff' AS TEXT) WHERE stage = 'label'")
        database.execute("UPDATE tallies SET payload = 'x'")
    database.close()
    found = read_journal(path)
    assert (set(found.outcomes), found.tallies, found.n_damaged) == ({"revise"}, {}, 1)


def test_ends_are_counted_as_they_are_read(path: Path) -> None:
    """What is counted is what would be read, by stage, end and reason, with as many damaged records."""
    with Journal(path) as journal:
        for number in range(2, 6):
            journal.record("revise", f"row-{number}", Outcome("filtered", f"reason {number % 2}"))
            journal.record("label", f"row-{number}", DONE)
            journal.record("label/part", f"row-{number}", Outcome("failed", "no answer"))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE rows SET payload = 'x' WHERE row = 'row-5'")
    database.close()
    found, counted = read_journal(path), count_journal(path)
    assert counted.ends == {
        "revise": {("done", ""): 1, ("filtered", "reason 0"): 2, ("filtered", "reason 1"): 1},
        "label": {("done", ""): 3, ("failed", "no answer"): 1},
        "label/part": {("failed", "no answer"): 3},
    }
    assert list(counted.ends) == list(found.outcomes)
    assert (counted.tallies, counted.n_damaged) == (found.tallies, found.n_damaged) == ({"revise": "{}"}, 3)
    assert count_journal(path.with_name("none")) == Counted({}, {}, 0)


def test_ends_that_are_counted_are_not_held(path: Path) -> None:
    """Neither results nor ids of rows stay in memory."""
    with Journal(path) as journal:
        for number in range(5_000):
            journal.record("revise", f"row-{number}", Outcome("done", "x" * 2_000))
    tracemalloc.start()
    try:
        assert count_journal(path).ends["revise"]["done", ""] == 5_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500_000  # bytes; the results alone have 10 MB


def test_an_end_that_nobody_knows_is_damage(path: Path) -> None:
    """A row that ended in another way than rows end counts as missing, whole as its record may be."""
    with sqlite3.connect(path) as database:
        kept = checksum_of("label", "row-1", "skipped", "")
        database.execute("UPDATE rows SET status = 'skipped', payload = '', checksum = ? WHERE stage = 'label'", [kept])
    database.close()
    found = read_journal(path)
    assert (set(found.outcomes), found.n_damaged) == ({"revise"}, 1)
    with reading_at_once(path) as reader:
        batches = list(reader.batches("rows", ("stage", "row", "status", "payload")))
        assert batches == [[("revise", "row-1", "done", DONE.payload)]]
        assert reader.n_damaged == 1
    with Journal(path) as journal:
        assert (journal.outcomes("label"), journal.n_damaged) == ({}, 1)


_FOREIGN = {
    "a virtual table": "CREATE VIRTUAL TABLE completions USING fts5(key, payload, checksum)",
    "a computed column": (
        "CREATE TABLE completions (key TEXT, payload TEXT AS (printf('%.*c', 900000000, 'x')) VIRTUAL, checksum BLOB)"
    ),
    "a stored column": "CREATE TABLE completions (key TEXT, payload TEXT AS (key || key) STORED, checksum BLOB)",
    "another column": "CREATE TABLE completions (key TEXT, payload TEXT, checksum BLOB, more TEXT)",
    "a view": "CREATE VIEW completions AS SELECT 'key' AS key, 'payload' AS payload, x'00' AS checksum",
    "a trigger": "CREATE TRIGGER more AFTER INSERT ON other BEGIN DELETE FROM other; END",
}


@pytest.mark.parametrize("statement", _FOREIGN.values(), ids=_FOREIGN)
def test_a_file_that_is_made_to_do_things_is_refused(tmp_path: Path, statement: str) -> None:
    """A journal that somebody gives us has plain tables, whose columns are written down: another is not read."""
    path = tmp_path / "journal.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE other (key TEXT)")
        database.execute(statement)
    database.close()
    with pytest.raises(JournalError, match=r"cannot be read \(it"), reading_at_once(path) as reader:
        list(reader.batches("completions", ("key", "payload")))
    with pytest.raises(JournalError, match=r"cannot be read \(it"):
        read_journal(path)
    with pytest.raises(JournalError, match=r"cannot be read \(it"):
        RecordedAnswers(path)


def test_a_record_that_is_far_too_long_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No record of ours is that long, and one of a gigabyte would fill the memory."""
    with sqlite3.connect(path) as database:
        database.execute("UPDATE rows SET payload = ?", ["x" * 10_000])
    database.close()
    assert read_journal(path).n_damaged == 2
    monkeypatch.setattr(reading, "_MOST_BYTES", 5_000)
    with pytest.raises(JournalError, match="string or blob too big"):
        read_journal(path)


_OPENING = """
import sys
from pathlib import Path
from charter.journal.store import Journal
print("begun", flush=True)
while True:
    Journal(Path(sys.argv[1])).close()
"""


def test_a_log_that_goes_while_it_is_looked_at(path: Path) -> None:
    """A journal that another process opens and closes all the time is read, or said to have been written."""
    opening = subprocess.Popen([sys.executable, "-c", _OPENING, str(path)], stdout=subprocess.PIPE)
    assert opening.stdout is not None
    try:
        opening.stdout.readline()
        for _ in range(1000):
            with contextlib.suppress(JournalError):
                read_journal(path)
    finally:
        opening.kill()
        opening.communicate()
    assert read_journal(path).outcomes["revise"] == {"row-1": DONE}


def test_a_damaged_file_is_named(path: Path) -> None:
    """What is no database is damaged, and permissions are not blamed."""
    path.write_bytes(b"this is no database, but a text of some length " * 40)
    with pytest.raises(JournalError, match=r"cannot be read .* It is damaged: restore the file"):
        read_journal(path)


@pytest.fixture
def shelf(path: Path) -> Iterator[Path]:
    """The journal in a folder that others reach too; where pytest keeps its own nobody else comes in."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        shutil.copytree(path.parent, folder / "run")
        yield folder / "run" / path.name
        for one in folder.rglob("*"):
            one.chmod(0o755)


def read_as_nobody(path: Path) -> str:
    """Count the rows that somebody reads whom permissions hold, or give the error."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        try:
            said = str(sum(len(ends) for ends in read_journal(path).outcomes.values()))
        except BaseException as error:  # noqa: BLE001 - the other process must hear of it
            said = repr(error)
        os.write(into, said.encode())
        os._exit(0)
    os.close(into)
    with open(out, encoding="utf-8") as answer:  # noqa: PTH123 - a descriptor
        said = answer.read()
    os.waitpid(child, 0)
    return said


def make_read_only(path: Path) -> None:
    """Let nobody write a journal, what lies beside it, and its folder."""
    for one in path.parent.iterdir():
        one.chmod(0o444)
    path.parent.chmod(0o555)


def test_a_finished_run_that_must_not_be_written(shelf: Path) -> None:
    """A run on a read-only disk can be looked at."""
    make_read_only(shelf)
    assert read_as_nobody(shelf) == "2"
    assert names(shelf) == ["journal.sqlite"]


def test_a_run_under_way_that_must_not_be_written(shelf: Path) -> None:
    """Somebody else's run can be looked at while it writes, what stands in the log alone included."""
    with Journal(shelf) as journal:
        journal.record("label", "row-2", DONE)
        journal.flush()
        make_read_only(shelf)
        assert read_as_nobody(shelf) == "3"
        shelf.parent.chmod(0o755)
        for one in shelf.parent.iterdir():
            one.chmod(0o644)


def test_a_killed_run_that_must_not_be_written(shelf: Path) -> None:
    """What a killed process left in the log is read; without the index nothing can be, and the error says why."""
    killed = shelf.parent.parent / "killed" / shelf.name
    with Journal(shelf) as journal:
        journal.record("label", "row-2", DONE)
        journal.flush()
        shutil.copytree(shelf.parent, killed.parent)
    make_read_only(killed)
    assert read_as_nobody(killed) == "3"
    killed.parent.chmod(0o755)
    killed.with_name("journal.sqlite-shm").unlink()
    make_read_only(killed)
    assert "It must be readable, and so must what lies beside it" in read_as_nobody(killed)
