"""Results that are read back from the journal: in order, whole or not at all, and few in memory."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from charter.errors import JournalError
from charter.files.tables import read_table, write_table
from charter.journal.records import FORGOTTEN, Outcome
from charter.journal.results import RecordedResults
from charter.journal.store import Journal
from charter.records import Prompt, Record, make_prompt
from charter.rows import map_rows


class Note(Record):
    """What comes of a row."""

    id: str
    text: str


class Living(Record):
    """What comes of a row, and how many such there were at once."""

    id: str
    n: ClassVar[int] = 0
    most: ClassVar[int] = 0

    def model_post_init(self, _context: object) -> None:
        """Count it."""
        Living.n += 1
        Living.most = max(Living.most, Living.n)

    def __del__(self) -> None:
        Living.n -= 1


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Give a journal with the results of 1,000 rows, recorded from the last to the first."""
    with Journal(tmp_path / "journal.sqlite") as opened:
        for number in reversed(range(1000)):
            opened.record("notes", f"row-{number}", Outcome("done", Note(id=f"row-{number}", text="é" * 9).to_json()))
        yield opened


def _results(journal: Journal, n: int = 1000) -> RecordedResults[Note]:
    return RecordedResults(journal, "notes", [f"row-{number}" for number in range(n)], Note)


def test_results_come_in_the_order_of_the_rows(journal: Journal) -> None:
    """However they were recorded; by number, in parts, and again and again."""
    results = _results(journal)
    names = [f"row-{number}" for number in range(1000)]
    assert len(results) == 1000
    assert [one.id for one in results] == [one.id for one in results] == names
    assert (results[0].id, results[-1].id) == ("row-0", "row-999")
    assert [one.id for one in results[990:]] == names[990:]
    assert results[1].text == "é" * 9
    with pytest.raises(IndexError):
        results[1000]


def test_a_damaged_result_is_told(journal: Journal) -> None:
    """By its row, with what to do: no result is left out in silence."""
    with journal.writing() as database:
        database.execute("UPDATE rows SET payload = '{}' WHERE row = 'row-7'")
    results = _results(journal)
    assert results[6].id == "row-6"
    with pytest.raises(JournalError, match=r"row row-7 of notes is damaged; run the same command again"):
        list(results)


@pytest.mark.parametrize("end", [Outcome("filtered", '{"id":"row-7","text":"x"}'), Outcome("failed", FORGOTTEN)])
def test_a_row_that_ended_otherwise_since_is_told(journal: Journal, end: Outcome) -> None:
    """What lies there now is no result."""
    results = _results(journal)
    journal.record("notes", "row-7", end)
    with pytest.raises(JournalError, match="row row-7 of notes has another end by now"):
        list(results)


@pytest.mark.parametrize(("row", "sign"), [(499, b"z"), (999, b"\xff"), (3, b"\x00")])
def test_a_damaged_index_hides_nothing(tmp_path: Path, row: int, sign: bytes) -> None:
    """Rows are whole where the index alone is damaged: all of them are walked through once, resumed and read back."""
    rows = [make_prompt(f"Question {number}?", "red_team") for number in range(1000)]
    rows.sort(key=lambda one: one.id)
    asked: list[str] = []

    async def answer(row: Prompt) -> Note:
        asked.append(row.id)
        return Note(id=row.id, text="said")

    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        map_rows(answer, rows, "notes", result=Note, journal=journal)
    data, key, place = bytearray(path.read_bytes()), f"notes{rows[row].id}".encode(), -1
    while (place := data.find(key, place + 1)) >= 0:
        if data[place + len(key) : place + len(key) + 4] != b"done":  # where it stands in the record itself
            data[place + len("notes")] = sign[0]
    path.write_bytes(data)
    asked.clear()
    with Journal(path) as journal:
        assert sum(1 for _ in journal.walk("notes")) == 1000
        mapped = map_rows(answer, rows, "notes", result=Note, journal=journal)
        assert [one.id for one in mapped.done] == [one.id for one in rows]
    assert (asked, mapped.n_resumed) == ([], 1000)


def test_results_are_read_once_the_journal_is_closed(journal: Journal) -> None:
    """As long as its file is there; what was taken before stays."""
    results = _results(journal, 3)
    held = tuple(results)
    journal.close()
    assert [one.id for one in results] == ["row-0", "row-1", "row-2"]
    assert results == held
    for again in (False, True):
        journal.path.unlink()
        if again:
            with Journal(journal.path) as other:
                other.record("notes", "row-0", Outcome("done", Note(id="row-0", text="another").to_json()))
        with pytest.raises(JournalError, match="is no longer the journal"):
            list(results)
        journal.path.touch()
    assert [one.id for one in held] == ["row-0", "row-1", "row-2"]


def test_results_are_equal_to_any_sequence_of_the_same(journal: Journal) -> None:
    """Result by result, as tuples are."""
    results = _results(journal, 3)
    assert results == _results(journal, 3)
    assert results == list(results)
    assert results == _results(journal)[:3]
    assert results != _results(journal, 2)
    assert results != (*results[:2], results[0])
    assert results != "results"


def test_few_results_are_in_memory(tmp_path: Path) -> None:
    """Of 5,000 results some hundred at a time: while they are made, read back, and taken up again."""
    rows = [make_prompt(f"Question {number}?", "red_team") for number in range(5000)]

    async def answer(row: Prompt) -> Living:
        return Living(id=row.id)

    with Journal(tmp_path / "journal.sqlite") as journal:
        for _ in range(2):
            mapped = map_rows(answer, rows, "answers", result=Living, journal=journal)
            assert [one.id for one in mapped.done] == [row.id for row in rows]
    assert mapped.n_resumed == 5000
    assert Living.most <= 1000


def test_a_table_is_written_as_its_rows_come(tmp_path: Path) -> None:
    """Groups of rows are in memory, not all of them; the file holds them all, in their order."""
    alive: weakref.WeakSet[Prompt] = weakref.WeakSet()
    most = 0

    def prompts() -> Iterator[Prompt]:
        nonlocal most
        for number in range(5000):
            prompt = make_prompt(f"Question {number}?", "red_team")
            alive.add(prompt)
            most = max(most, len(alive))
            yield prompt

    write_table(tmp_path / "prompts.parquet", prompts(), Prompt)
    assert [one.text for one in read_table(tmp_path / "prompts.parquet", Prompt)] == [
        f"Question {number}?" for number in range(5000)
    ]
    assert most <= 2000
