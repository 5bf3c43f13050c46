from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from charter.errors import JournalError
from charter.journal import absorption
from charter.journal.absorption import Absorbed, absorb
from charter.journal.records import FORGOTTEN, Outcome, checksum_of
from charter.journal.store import Journal

DONE = Outcome("done", '{"text":"é {x} %s"}')
FILTERED = Outcome("filtered", "too long")
FAILED = Outcome("failed", "no answer")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A journal with three completions, three rows and a tally."""
    (tmp_path / "a shard? #1").mkdir()
    path = tmp_path / "a shard? #1" / "journal.sqlite"
    with Journal(path) as journal:
        for number in range(3):
            journal.put(f"key {number}", f"payload {number}")
        journal.record("revise", "row-1", DONE)
        journal.record("revise", "row-2", FILTERED)
        journal.record("label", "row-1", FAILED)
        journal.keep_tally("revise", "took")
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Where the journal is that takes in."""
    return tmp_path / "journal.sqlite"


def _damage(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as database:
        assert database.execute(statement).rowcount > 0
    database.close()


def test_all_of_another_journal_is_taken_in_once(own: Path, other: Path) -> None:
    """Completions, rows and tallies are there afterwards; to take them in again changes nothing."""
    before = other.read_bytes()
    with Journal(own) as journal:
        journal.put("key 0", "payload 0")
        assert absorb(journal, other, source="one") == Absorbed(n_completions=2, n_rows=3)
        assert absorb(journal, other, source="one") == Absorbed()
        assert [journal.get(f"key {number}") for number in range(3)] == [f"payload {number}" for number in range(3)]
        assert journal.outcomes("revise") == {"row-1": DONE, "row-2": FILTERED}
        assert journal.outcomes("label") == {"row-1": FAILED}
        assert (journal.tally("revise"), journal.taken_tallies("revise")) == (None, {"one": "took"})
        assert journal.n_damaged == 0
    assert other.read_bytes() == before
    assert [one.name for one in other.parent.iterdir()] == [other.name]


def test_rows_of_other_stages_are_left_where_they_are(own: Path, other: Path) -> None:
    """Where stages are named, rows of others do not come, but answers and what was taken do; parts are of a stage."""
    with Journal(other) as journal:
        journal.record("label/part", "row-1", DONE)
    with Journal(own) as journal:
        assert absorb(journal, other, source="one", stages=["label"]) == Absorbed(n_completions=3, n_rows=2)
        assert journal.stages() == ("label", "label/part")
        assert journal.taken_tallies("revise") == {"one": "took"}


def test_more_records_than_go_at_once(own: Path, other: Path) -> None:
    """Thousands of records come over whole."""
    with Journal(other) as journal:
        for number in range(2500):
            journal.put(f"more {number}", "x")
            journal.record("pairs", f"row-{number}", DONE)
    with Journal(own) as journal:
        assert absorb(journal, other) == Absorbed(n_completions=2503, n_rows=2503)
        assert len(journal.outcomes("pairs")) == 2500


@pytest.mark.parametrize(
    ("here", "there", "after"),
    [
        (DONE, FAILED, DONE),
        (DONE, Outcome("done", "another"), DONE),
        (FILTERED, DONE, FILTERED),
        (FAILED, DONE, DONE),
        (FAILED, FILTERED, FILTERED),
        (FAILED, Outcome("failed", "another reason"), Outcome("failed", "another reason")),
        (Outcome("failed", FORGOTTEN), FAILED, FAILED),
        (FAILED, Outcome("failed", FORGOTTEN), FAILED),
        (None, Outcome("failed", FORGOTTEN), None),
    ],
)
def test_which_of_two_ends_is_kept(
    own: Path, other: Path, here: Outcome | None, there: Outcome, after: Outcome | None
) -> None:
    """A failed row gives way to its end elsewhere, what is done stays, and what was forgotten elsewhere is no end."""
    with Journal(other) as journal:
        journal.record("pairs", "row", there)
    with Journal(own) as journal:
        if here is not None:
            journal.record("pairs", "row", here)
        absorb(journal, other)
        assert journal.outcomes("pairs").get("row") == after


def test_what_a_stage_took_elsewhere_is_replaced_by_its_source(own: Path, other: Path) -> None:
    """A source that went on is not counted twice, and two sources stand side by side."""
    with Journal(own) as journal:
        absorb(journal, other, source="one")
        absorb(journal, other, source="two")
        with Journal(other) as more:
            more.keep_tally("revise", "took more")
        absorb(journal, other, source="two")
        absorb(journal, other)
        assert journal.taken_tallies("revise") == {"one": "took", "two": "took more"}
        assert journal.taken_tallies("label") == {}


def test_damaged_records_are_left_out_and_replaced(own: Path, other: Path) -> None:
    """What is damaged there stays away, and what is damaged here is mended by what is whole there."""
    with Journal(own) as journal:
        absorb(journal, other)
    _damage(own, "UPDATE completions SET payload = 'x' WHERE key = 'key 1'")
    _damage(own, "UPDATE rows SET payload = CAST(x'ff' AS TEXT) WHERE stage = 'revise' AND row = 'row-1'")
    _damage(other, "UPDATE completions SET payload = 'x' WHERE key = 'key 2'")
    _damage(other, "UPDATE rows SET payload = CAST(x'ff' AS TEXT) WHERE stage = 'label'")
    with Journal(own) as journal:
        assert absorb(journal, other) == Absorbed(n_completions=1, n_rows=1, n_damaged=2)
        assert journal.get("key 1") == "payload 1"
        assert journal.outcomes("revise")["row-1"] == DONE
        assert journal.outcomes("label") == {"row-1": FAILED}


def test_an_end_that_nobody_knows_is_not_taken_and_gives_way(own: Path, other: Path) -> None:
    """A row that ended in another way than rows end is damaged, there as here."""
    with Journal(own) as journal:
        absorb(journal, other)
    unknown = "UPDATE rows SET status = 'skipped', checksum = x'{}' WHERE stage = '{}' AND row = 'row-1'"
    for path, stage, payload in ((own, "revise", DONE.payload), (other, "label", FAILED.payload)):
        _damage(path, unknown.format(checksum_of(stage, "row-1", "skipped", payload).hex(), stage))
    with Journal(own) as journal:
        assert absorb(journal, other) == Absorbed(n_rows=1, n_damaged=1)
        assert (journal.outcomes("revise")["row-1"], journal.outcomes("label")) == (DONE, {"row-1": FAILED})


def test_what_a_killed_process_left_in_its_log_is_taken_in(own: Path, other: Path) -> None:
    """Records that stand in the other journal's log alone come too."""
    killed = other.parent.parent / "killed" / other.name
    with Journal(other) as journal:
        journal.record("pairs", "row", DONE)
        journal.flush()
        shutil.copytree(other.parent, killed.parent)
    with Journal(own) as journal:
        absorb(journal, killed)
        assert journal.outcomes("pairs") == {"row": DONE}


def test_an_older_journal_lacks_tables(own: Path, other: Path) -> None:
    """A journal that has only just begun, or is from a version before, is read as far as it is."""
    _damage(other, "DELETE FROM tallies")
    with sqlite3.connect(other) as database:
        database.execute("DROP TABLE tallies")
    database.close()
    (other.parent / "empty").touch()
    with Journal(own) as journal:
        assert absorb(journal, other, source="one").n_rows == 3
        assert absorb(journal, other.parent / "empty", source="two") == Absorbed()


def test_what_is_no_journal_is_named_and_changes_nothing(own: Path, other: Path) -> None:
    """The error names the other journal, and of a half-read one nothing is kept."""
    with Journal(own) as journal:
        with pytest.raises(JournalError, match="none: no such journal"):
            absorb(journal, other.with_name("none"))
        with sqlite3.connect(other) as database:
            database.execute("ALTER TABLE rows RENAME COLUMN payload TO text")
        database.close()
        with pytest.raises(JournalError, match=r"a shard\? #1.*cannot be read"):
            absorb(journal, other)
        assert journal.get("key 1") is None
        other.write_bytes(b"this is no database, but a text of some length " * 40)
        with pytest.raises(JournalError, match=r"a shard\? #1.*cannot be read"):
            absorb(journal, other)
        journal.put("key", "payload")
    with Journal(own) as journal:
        assert journal.get("key") == "payload"


def test_a_journal_that_is_written_meanwhile_is_refused(
    own: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read of a file that changes is worth nothing, and nothing of it is kept."""
    take = absorption._take

    def take_and_write(*parts: object) -> int:
        with Journal(other) as writing:
            writing.record("pairs", "row", DONE)
        return take(*parts)  # type: ignore[arg-type]

    monkeypatch.setattr(absorption, "_take", take_and_write)
    with Journal(own) as journal:
        with pytest.raises(JournalError, match="was written while it was read"):
            absorb(journal, other)
        assert (journal.get("key 1"), journal.stages()) == (None, ())


_KILLED = """
import os, signal, sys
from pathlib import Path
from charter.journal import absorption
from charter.journal.store import Journal

take, n = absorption._take, 0

def take_and_die(*parts):
    global n
    n += 1
    took = take(*parts)
    if n == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return took

absorption._take = take_and_die
absorption.absorb(Journal(Path(sys.argv[1])), Path(sys.argv[2]), source="one")
"""


def test_a_kill_in_between_leaves_nothing_by_halves(own: Path, other: Path) -> None:
    """After SIGKILL in the middle all or nothing is there, and the next try takes all of it in."""
    ended = subprocess.run([sys.executable, "-c", _KILLED, str(own), str(other)], check=False)
    assert ended.returncode == -9
    with Journal(own) as journal:
        assert (journal.get("key 1"), journal.stages()) == (None, ())
        assert absorb(journal, other, source="one") == Absorbed(n_completions=3, n_rows=3)
