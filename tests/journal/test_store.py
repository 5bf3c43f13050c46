from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charter.errors import JournalError
from charter.journal import store
from charter.journal.records import Outcome
from charter.journal.store import Journal
from row_examples import TEXTS

DONE = Outcome("done", '{"text":"é {x} %s"}')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal of a test is."""
    return tmp_path / "journal.sqlite"


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing but ``flush`` write."""
    monkeypatch.setattr(store, "_MAX_PENDING_SECONDS", 1e9)


def _change(path: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(path) as database:
        assert database.execute(statement, values).rowcount == 1
    database.close()


def test_what_was_recorded_is_there_after_reopening(path: Path) -> None:
    """Completions and rows outlive the process's journal object."""
    with Journal(path) as journal:
        journal.put("key", "payload")
        journal.record("revise", "row-1", DONE)
        journal.record("revise", "row-2", Outcome("filtered", "too long"))
        journal.record("label", "row-1", Outcome("failed", "no answer"))
    with Journal(path) as journal:
        assert journal.get("key") == "payload"
        assert journal.get("another") is None
        assert journal.outcomes("revise") == {"row-1": DONE, "row-2": Outcome("filtered", "too long")}
        assert journal.outcomes("label") == {"row-1": Outcome("failed", "no answer")}
        assert journal.outcomes("none") == {}
        assert journal.stages() == ("label", "revise")
        assert journal.n_damaged == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    rows=st.dictionaries(TEXTS, st.builds(Outcome, st.sampled_from(["done", "filtered", "failed"]), TEXTS), max_size=5),
    stage=TEXTS,
)
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, rows: dict[str, Outcome], stage: str) -> None:
    """Row ids, stages and payloads are kept verbatim, NUL included."""
    path = tmp_path_factory.mktemp("journal") / "journal.sqlite"
    with Journal(path) as journal:
        for row, outcome in rows.items():
            journal.record(stage, row, outcome)
            journal.put(row, outcome.payload)
    with Journal(path) as journal:
        assert journal.outcomes(stage) == rows
        assert {row: journal.get(row) for row in rows} == {row: outcome.payload for row, outcome in rows.items()}


@pytest.mark.usefixtures("unhurried")
def test_what_is_pending_is_read_back(path: Path) -> None:
    """A record that is not on disk yet is already known."""
    with Journal(path) as journal:
        journal.put("key", "payload")
        assert journal.get("key") == "payload"
        journal.record("revise", "row", DONE)
        assert journal.outcomes("revise") == {"row": DONE}


def test_a_later_record_replaces_an_earlier_one(path: Path) -> None:
    """A row that failed and was done again is done, whether or not the failure was on disk."""
    with Journal(path) as journal:
        for row in ("flushed", "pending"):
            journal.record("revise", row, Outcome("failed", "x"))
            if row == "flushed":
                journal.flush()
            journal.record("revise", row, DONE)
        assert journal.outcomes("revise") == {"flushed": DONE, "pending": DONE}


@pytest.mark.usefixtures("unhurried")
def test_writes_are_gathered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records wait for each other, and for so many or so long at most."""
    monkeypatch.setattr(store, "_MAX_PENDING", 10)

    def n_on_disk() -> int:
        database = sqlite3.connect(path)
        count: int = database.execute("SELECT COUNT(*) FROM rows").fetchone()[0]
        database.close()
        return count

    with Journal(path) as journal:
        for number in range(9):
            journal.record("revise", f"row-{number}", DONE)
        assert n_on_disk() == 0
        journal.record("revise", "row-9", DONE)
        assert n_on_disk() == 10
        monkeypatch.setattr(store, "_MAX_PENDING_SECONDS", 0.0)
        monkeypatch.setattr(store, "_WAIT_PER_COMMIT", 0)
        journal.record("revise", "row-10", DONE)
        assert n_on_disk() == 11


def test_slow_commits_are_made_less_often(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records wait for many times what the last commit took, and no longer than a second."""
    now, commits = [0.0], []

    def passing(self: Journal) -> None:
        now[0] += commit_seconds
        commits.append(now[0])
        self._completions.clear()

    monkeypatch.setattr(store, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(Journal, "_commit", passing)
    waits = {}
    with Journal(path) as journal:
        for commit_seconds in (0.001, 0.02, 3.0):
            commits.clear()
            while len(commits) < 2:  # the first is still waited for as the one before it told
                now[0] += 0.01
                journal.put("key", "payload")
            waits[commit_seconds] = commits[1] - commits[0] - commit_seconds
    assert waits == {
        0.001: pytest.approx(0.1, abs=0.011),
        0.02: pytest.approx(0.4, abs=0.011),
        3.0: pytest.approx(1.0, abs=0.011),
    }


@pytest.mark.parametrize(
    "damage",
    ["payload = 'changed'", "payload = x'ff00'", "payload = CAST(x'ff' AS TEXT)", "checksum = x'00'", "checksum = 'x'"],
)
def test_a_damaged_record_counts_as_missing(path: Path, damage: str) -> None:
    """Damage to one record, bytes that are no text included, loses that record alone, and is counted."""
    with Journal(path) as journal:
        for row in ("row-1", "row-2"):
            journal.record("revise", row, DONE)
            journal.put(row, "payload")
    _change(path, f"UPDATE rows SET {damage} WHERE row = 'row-1'")  # noqa: S608 - the test's own text
    _change(path, f"UPDATE completions SET {damage} WHERE key = 'row-1'")  # noqa: S608 - as above
    with Journal(path) as journal:
        assert journal.outcomes("revise") == {"row-2": DONE}
        assert journal.get("row-1") is None
        assert journal.get("row-2") == "payload"
        assert journal.n_damaged == 2
        journal.put("row-1", "anew")
        journal.record("revise", "row-1", DONE)
    with Journal(path) as journal:
        assert journal.get("row-1") == "anew"
        assert journal.outcomes("revise")["row-1"] == DONE


@pytest.mark.parametrize("column", ["status = 'filtered'", "row = 'row-9'", "stage = 'label'"])
def test_a_record_moved_to_another_place_is_damaged(path: Path, column: str) -> None:
    """The checksum covers the row's name, stage and status: a payload under another is not believed."""
    with Journal(path) as journal:
        journal.record("revise", "row-1", DONE)
    _change(path, f"UPDATE rows SET {column}")  # noqa: S608 - the test's own text
    with Journal(path) as journal:
        assert journal.outcomes("revise") == journal.outcomes("label") == {}


def test_two_threads_write_one_journal(path: Path) -> None:
    """Records of several threads are all kept, and each is read back as it was."""
    n_rows = 300

    def write(name: str) -> None:
        for number in range(n_rows):
            journal.record(name, f"row-{number}", Outcome("done", f"{name} {number}"))
            journal.put(f"{name} {number}", f"{number}")
            assert journal.get(f"{name} {number}") == f"{number}"

    with Journal(path) as journal:
        threads = [threading.Thread(target=write, args=(name,)) for name in ("one", "two", "three")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Journal(path) as journal:
        for name in ("one", "two", "three"):
            outcomes = journal.outcomes(name)
            assert outcomes == {f"row-{n}": Outcome("done", f"{name} {n}") for n in range(n_rows)}
            assert journal.get(f"{name} 7") == "7"


KILLED = """
import sys
from pathlib import Path
from charter.journal.records import Outcome
from charter.journal.store import Journal

journal = Journal(Path(sys.argv[1]))
number = 0
while True:
    for number in range(number, number + 7):
        journal.record("revise", f"row-{number}", Outcome("done", f"payload {number}"))
        journal.put(f"key-{number}", f"completion {number}")
    journal.flush()
    print(number, flush=True)
    number += 1
"""


def test_kill_9_loses_nothing_that_was_flushed(path: Path) -> None:
    """A process killed at any moment leaves everything it had flushed, whole; and the journal goes on."""
    last = -1
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(40):
            last = max(last, int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        flushed = [int(line) for line in process.stdout.read().splitlines()]
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        last = max(last, *flushed) if flushed else last
        with Journal(path) as journal:
            outcomes = journal.outcomes("revise")
            assert journal.n_damaged == 0
            assert all(outcomes[f"row-{n}"].payload == f"payload {n}" for n in range(last + 1))
            assert all(journal.get(f"key-{n}") == f"completion {n}" for n in range(last + 1))


@pytest.mark.parametrize("content", [b"this is no database, but a text of some length " * 40, b"SQLite format 3\0torn"])
def test_a_file_that_is_no_journal(path: Path, content: bytes) -> None:
    """A file that is no database is named, with what to do, and left as it was."""
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"journal\.sqlite: the journal cannot be read .*--out"):
        Journal(path)
    assert path.read_bytes() == content


def test_a_journal_in_a_missing_folder(tmp_path: Path) -> None:
    """A folder that is not there is an error of the journal, not the database's own."""
    with pytest.raises(JournalError, match=r"cannot be written .*permissions"):
        Journal(tmp_path / "none" / "journal.sqlite")


def test_a_torn_journal_is_an_error_not_an_empty_one(path: Path) -> None:
    """Where the file itself is broken, nothing is taken for missing: the person is told."""
    with Journal(path) as journal:
        for number in range(2000):
            journal.record("revise", f"row-{number}", Outcome("done", "payload " * 20))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\xa5" * (len(whole) - len(whole) // 2))
    with pytest.raises(JournalError), Journal(path) as journal:
        journal.outcomes("revise")


@pytest.mark.usefixtures("unhurried")
def test_a_full_disk_keeps_what_there_was(path: Path) -> None:
    """What does not fit is an error that says so; what was recorded stays, the rest is written once there is room."""
    journal = Journal(path)
    journal.record("revise", "early", DONE)
    journal.flush()
    n_pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {n_pages + 1}")
    journal.record("revise", "late", Outcome("done", "x" * 100_000))
    for _ in range(2):
        with pytest.raises(JournalError, match=r"cannot be written \(database or disk is full\).*free space"):
            journal.flush()
    assert set(_rows_on_disk(path)) == {"early"}
    journal._db.execute("PRAGMA max_page_count = 100000")
    journal.close()
    assert set(_rows_on_disk(path)) == {"early", "late"}


def _rows_on_disk(path: Path) -> dict[str, Outcome]:
    with Journal(path) as journal:
        return journal.outcomes("revise")


@pytest.mark.usefixtures("unhurried")
def test_an_interrupted_commit_can_be_done_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C inside a commit leaves no open transaction: the next flush writes everything."""
    journal = Journal(path)
    journal.record("revise", "row", DONE)

    class Interrupting:
        """The database, but a person presses Ctrl-C at the second statement."""

        def __init__(self, database: sqlite3.Connection) -> None:
            self.database = database

        def executemany(self, *_: object) -> None:
            raise KeyboardInterrupt

        def execute(self, statement: str) -> object:
            return self.database.execute(statement)

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_db", Interrupting(journal._db))
        with pytest.raises(KeyboardInterrupt):
            journal.flush()
    journal.close()
    assert set(_rows_on_disk(path)) == {"row"}


@pytest.mark.usefixtures("unhurried")
def test_closing_twice_is_fine_and_writing_after_it_is_not(path: Path) -> None:
    """A closed journal takes nothing more, and says so."""
    journal = Journal(path)
    journal.close()
    journal.close()
    journal.record("revise", "row", DONE)
    with pytest.raises(JournalError, match="cannot be written"):
        journal.flush()
