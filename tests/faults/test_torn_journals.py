"""A journal that is cut off or has a bit turned over: what it gives is what was recorded, or it is refused by name."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from charter.errors import JournalError
from charter.journal.reading import read_journal
from charter.journal.records import Outcome
from charter.journal.store import Journal
from charter.pipeline import run_stages
from charter.runs.folder import open_run
from faults.points import Point, point, points, some
from faults.resumed import assert_same_results
from run_examples import RECIPE, SMALL_STAGES, small_recipe, small_run

pytestmark = [pytest.mark.faults, pytest.mark.slow]

LOG, FILE = "journal.sqlite-wal", "journal.sqlite"
_N_COMMITS, _N_ROWS = 12, 20  # commits in the log, and rows that were in the file before
_LAST_BYTES = 5_000


@dataclass(frozen=True)
class Killed:
    """A journal as a killed process leaves it: its files, what it holds, and which rows are in so much of its log."""

    folder: Path
    rows: dict[str, Outcome]
    commits: tuple[tuple[int, frozenset[str]], ...]

    def rows_in(self, n_bytes: int) -> set[str]:
        """Name the rows that are safe where the log has so many bytes."""
        return {row for end, rows in self.commits if end <= n_bytes for row in rows}


def _outcome(number: int) -> Outcome:
    status = ("done", "filtered", "failed")[number % 3]
    return Outcome(status, f'{{"text": "payload {number} é"}}')  # type: ignore[arg-type]


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A folder in memory, where there is one: thousands of journals are opened there."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as place:
        yield Path(place)


@pytest.fixture
def killed(shelf: Path) -> Killed:
    """A journal with rows in its file, and more of them in commits in its log."""
    rows: dict[str, Outcome] = {}
    (shelf / "whole").mkdir()

    def record(journal: Journal, number: int) -> str:
        row = f"row-{number}"
        rows[row] = _outcome(number)
        journal.record("revise", row, rows[row])
        journal.put(f"key-{number}", f"answer {number}")
        return row

    with Journal(shelf / "whole" / FILE) as journal:
        before = frozenset(record(journal, number) for number in range(_N_ROWS))
    commits = [(0, before)]
    with Journal(shelf / "whole" / FILE) as journal:
        for commit in range(_N_COMMITS):
            first = _N_ROWS + 3 * commit
            made = frozenset(record(journal, number) for number in range(first, first + 3))
            journal.flush()
            commits.append(((shelf / "whole" / LOG).stat().st_size, made))
        shutil.copytree(shelf / "whole", shelf / "killed")
    (shelf / "killed" / f"{FILE}-shm").unlink()
    return Killed(shelf / "killed", rows, tuple(commits))


def _copy(killed: Killed, shelf: Path) -> Path:
    place = shelf / "copy"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(killed.folder, place)
    return place


def _require_true(found: dict[str, Outcome], killed: Killed) -> None:
    """Nothing is made up and nothing is changed."""
    assert {row: end for row, end in found.items() if killed.rows.get(row) != end} == {}


def _take_stock(place: Path, killed: Killed, tried: Point, *, safe: set[str]) -> None:
    """Open a damaged journal, hold what it gives against what was recorded, and do what it lost again."""
    try:
        with Journal(place / FILE) as journal:
            found = journal.outcomes("revise")
            _require_true(found, killed)
            assert safe <= set(found), "what was whole is still there"
            for number in range(len(killed.rows)):
                assert journal.get(f"key-{number}") in {None, f"answer {number}"}
            for row in killed.rows.keys() - found.keys():
                journal.record("revise", row, killed.rows[row])
        with Journal(place / FILE) as journal:
            assert journal.outcomes("revise") == killed.rows
        tried.outcome = "redid what was lost" if len(found) < len(killed.rows) else "nothing was lost"
    except JournalError as error:
        _require_named(error, place)
        tried.outcome = "refused by name"


def _require_named(error: JournalError, place: Path) -> None:
    assert str(place / FILE) in str(error)


def test_a_log_that_is_cut_off_anywhere_keeps_every_whole_commit(killed: Killed, shelf: Path) -> None:
    """At every byte of its last records, and at places before: exactly the rows of whole commits are there."""
    size = (killed.folder / LOG).stat().st_size
    last = range(size - _LAST_BYTES, size)
    before = random.Random(0).sample(range(size - _LAST_BYTES), 6_000 - _LAST_BYTES)  # noqa: S311 - no secret
    for n_bytes in some([*sorted(before), *last], 150):
        with point("journal's log cut off", f"{n_bytes} of {size} bytes") as tried:
            place = _copy(killed, shelf)
            os.truncate(place / LOG, n_bytes)
            safe = killed.rows_in(n_bytes)
            assert set(read_journal(place / FILE).outcomes["revise"]) == safe
            _take_stock(place, killed, tried, safe=safe)
            assert tried.outcome != "refused by name"


def test_a_file_that_is_cut_off_anywhere_is_read_truly_or_refused(killed: Killed, shelf: Path) -> None:
    """At five hundred places of the file itself: no row is made up or changed."""
    size = (killed.folder / FILE).stat().st_size
    for n_bytes in some(sorted(random.Random(1).sample(range(size), 500)), 40):  # noqa: S311 - no secret
        with point("journal's file cut off", f"{n_bytes} of {size} bytes") as tried:
            place = _copy(killed, shelf)
            os.truncate(place / FILE, n_bytes)
            _take_stock(place, killed, tried, safe=set())


@pytest.mark.parametrize("name", [FILE, LOG])
def test_a_bit_that_is_turned_over_is_found_or_harmless(killed: Killed, shelf: Path, name: str) -> None:
    """Anywhere in the file or its log: what is given is what was recorded, and what was lost can be done again."""
    chance = random.Random(name)  # noqa: S311 - no secret
    whole = (killed.folder / name).read_bytes()
    for _ in points(60, 500):
        at, bit = chance.randrange(len(whole)), chance.randrange(8)
        with point(f"bit turned over in the journal's {'log' if name == LOG else 'file'}", f"{at}.{bit}") as tried:
            place = _copy(killed, shelf)
            damaged = bytearray(whole)
            damaged[at] ^= 1 << bit
            (place / name).write_bytes(damaged)
            _take_stock(place, killed, tried, safe=set())


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed in the middle of its labels, its journal's log beside it."""
    folder = tmp_path_factory.mktemp("half")
    with open_run(small_recipe(folder), folder / "run", recipe_text=RECIPE) as run:
        run_stages(run, SMALL_STAGES[: SMALL_STAGES.index("label") + 1])
        run.journal.flush()
        shutil.copytree(folder, folder.with_name("killed"))
    killed = folder.with_name("killed")
    for name in ("run/.lock", "run/stages/label.json", f"run/{FILE}-shm"):
        (killed / name).unlink(missing_ok=True)
    return killed


@pytest.mark.parametrize("number", points(3, 60))
def test_a_run_on_a_damaged_journal_ends_the_same_or_is_refused(
    tmp_path: Path, half: Path, clean: Path, number: int
) -> None:
    """Cut off, or with eight bits turned over: gone on with it comes to the same bytes, or its journal is named."""
    chance = random.Random(number)  # noqa: S311 - no secret
    folder = tmp_path / "place"
    shutil.copytree(half, folder)
    path = folder / "run" / (LOG if number % 2 and (folder / "run" / LOG).exists() else FILE)
    whole = bytearray(path.read_bytes())
    if number % 3 == 0:
        whole = whole[: chance.randrange(len(whole))]
    else:
        for _ in range(8):
            whole[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
    path.write_bytes(whole)
    with point("a run on a damaged journal", f"{path.suffix} {number}") as tried:
        try:
            assert_same_results(small_run(folder, SMALL_STAGES), clean)
            tried.outcome = "ended the same"
        except JournalError as error:
            _require_named(error, folder / "run")
            tried.outcome = "refused by name"
