from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charter.errors import RunError
from charter.files.tables import read_json, read_table, write_json, write_table, write_text, write_whole
from charter.records import Pair, Prompt, Response, SftRow, Trace, make_prompt
from row_examples import HOSTILE_TEXTS, TABLES, records_of

IN_ONE_FOLDER = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def _sft_row(text: str) -> SftRow:
    return SftRow(id=f"sft-{len(text)}", prompt=make_prompt(text, "helpful"), response=text, origin="sampled")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
@IN_ONE_FOLDER
@given(data=st.data())
def test_records_survive_a_parquet_file(tmp_path: Path, kind: Any, data: st.DataObject) -> None:
    """Every kind of record reads back from Parquet as it was, in its order."""
    records = data.draw(st.lists(records_of(kind), max_size=4))
    write_table(tmp_path / "rows.parquet", records, kind)
    assert read_table(tmp_path / "rows.parquet", kind) == records


def test_hostile_text_survives_a_parquet_file(tmp_path: Path) -> None:
    """NUL, every newline, braces and very long text come back verbatim."""
    rows = [_sft_row(text) for text in HOSTILE_TEXTS]
    write_table(tmp_path / "rows.parquet", rows, SftRow)
    assert [row.response for row in read_table(tmp_path / "rows.parquet", SftRow)] == list(HOSTILE_TEXTS)


def test_the_same_records_make_the_same_bytes(tmp_path: Path) -> None:
    """A file's bytes depend on the records and their order alone."""
    rows = [_sft_row(text) for text in HOSTILE_TEXTS]
    for name, records in {"one": rows, "two": list(rows), "other": rows[::-1]}.items():
        write_table(tmp_path / name, records, SftRow)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
@IN_ONE_FOLDER
@given(data=st.data())
def test_an_empty_table_has_its_columns(tmp_path: Path, kind: Any, data: st.DataObject) -> None:
    """A table without rows reads back as none, and has the columns of a row, in their order."""
    import pyarrow.parquet as pq

    write_table(tmp_path / "empty.parquet", [], kind)
    assert read_table(tmp_path / "empty.parquet", kind) == []
    assert pq.read_schema(tmp_path / "empty.parquet").names == list(data.draw(records_of(kind)).to_row())


def test_the_schema_does_not_depend_on_the_rows(tmp_path: Path) -> None:
    """A column whose every value is missing keeps its type, so that shards of a table fit together."""
    import pyarrow.parquet as pq

    prompt = make_prompt("Why?", "helpful")
    with_reference = prompt.model_copy(update={"reference": "So.", "twin_of": "other"})
    for name, records in {"empty": [], "none": [prompt], "full": [with_reference]}.items():
        write_table(tmp_path / name, records, Prompt)
    schemas = {pq.read_schema(tmp_path / name).to_string() for name in ("empty", "none", "full")}
    assert len(schemas) == 1


@pytest.mark.parametrize("kind", [Prompt, Trace, Pair], ids=lambda kind: kind.__name__)
def test_tables_load_as_datasets(tmp_path: Path, kind: Any) -> None:
    """A table loads with the datasets library as it is, nested columns included."""
    import datasets

    prompt = make_prompt("Why?\r\n{x}", "red_team", category="c")
    round_one = {"number": 1, "principle": "p", "critique_request": "", "critique": "c", "revision_request": ""}
    rows = {
        Prompt: prompt,
        Trace: Trace.model_validate(
            {"id": "t", "prompt": prompt, "initial": "i", "rounds": [{**round_one, "revision": "r"}]}
        ),
        Pair: Pair(id="p", prompt=prompt, a="one", b="two", source="on_policy"),
    }
    path = tmp_path / "rows.parquet"
    write_table(path, [rows[kind]], kind)
    loaded = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == 1
    assert kind.from_row(loaded[0]) == rows[kind]
    assert loaded[0]["prompt"] == "Why?\r\n{x}"


def test_a_failed_write_leaves_nothing_and_harms_nothing(tmp_path: Path) -> None:
    """Whatever fails while a file is written, the old file stays whole and no part of the new one stays."""
    path = tmp_path / "file.txt"
    write_text(path, "before")

    def fails_half_way(temporary: Path) -> None:
        temporary.write_text("half")
        raise KeyError("a bug")

    def fills_the_disk(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(KeyError):
        write_whole(path, fails_half_way)
    with pytest.raises(RunError, match=r"file\.txt: cannot be written \(No space left on device\)"):
        write_whole(path, fills_the_disk)
    assert path.read_text() == "before"
    assert _names(tmp_path) == ["file.txt"]


def test_a_table_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    """A record of another kind than the table's is an error before there is any file."""
    pair = Pair(id="p", prompt=make_prompt("Why?", "helpful"), a="one", b="two", source="given")
    write_table(tmp_path / "pairs.parquet", [pair], Pair)
    before = (tmp_path / "pairs.parquet").read_bytes()
    with pytest.raises(AttributeError):
        write_table(tmp_path / "pairs.parquet", [pair, "no record"], Pair)  # type: ignore[list-item]
    assert (tmp_path / "pairs.parquet").read_bytes() == before
    assert _names(tmp_path) == ["pairs.parquet"]


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    """What stands in the way is named, and nothing is left beside it."""
    (tmp_path / "file.json").mkdir()
    (tmp_path / "plain").write_text("")
    with pytest.raises(RunError, match=r"file\.json: cannot be written"):
        write_json(tmp_path / "file.json", {})
    with pytest.raises(RunError, match=r"x\.json: cannot be written"):
        write_json(tmp_path / "plain" / "x.json", {})
    assert _names(tmp_path) == ["file.json", "plain"]


def test_tables_make_their_folder(tmp_path: Path) -> None:
    """A file's folders are made with it."""
    write_table(tmp_path / "a" / "b" / "rows.parquet", [], Response)
    assert read_table(tmp_path / "a" / "b" / "rows.parquet", Response) == []


def test_missing_and_foreign_tables(tmp_path: Path) -> None:
    """A table that is missing, torn, or of another kind of record says which, and what to do."""
    with pytest.raises(RunError, match="no such file; run the stage"):
        read_table(tmp_path / "none.parquet", Pair)
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(RunError, match=r"torn\.parquet: not a table of Pair rows"):
        read_table(tmp_path / "torn.parquet", Pair)
    write_table(tmp_path / "prompts.parquet", [make_prompt("Why?", "helpful")], Prompt)
    with pytest.raises(RunError, match=r"prompts\.parquet: not a table of Pair rows"):
        read_table(tmp_path / "prompts.parquet", Pair)


def test_json_is_whole_and_readable(tmp_path: Path) -> None:
    """JSON keeps the order of its keys and its text as it is, and reads back."""
    value = {"z": 1, "a": ["é", None, 0.1]}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_bytes().decode("utf-8")
    assert text.endswith("\n")
    assert list(json.loads(text)) == ["z", "a"]
    assert "é" in text
    assert read_json(tmp_path / "x.json") == value


def test_json_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    """A NaN is an error before there is a file."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert _names(tmp_path) == []


@pytest.mark.parametrize("content", [b"{", b"\xff", b""])
def test_unreadable_json(tmp_path: Path, content: bytes) -> None:
    """A JSON file that is missing or torn is named."""
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(RunError, match=r"x\.json: cannot be read"):
        read_json(tmp_path / "x.json")
    with pytest.raises(RunError, match=r"y\.json: no such file"):
        read_json(tmp_path / "y.json")


def test_newlines_are_untouched(tmp_path: Path) -> None:
    """Text is written byte for byte, whatever its newlines."""
    write_text(tmp_path / "x.txt", "a\r\nb\rc\n\u2028")
    assert (tmp_path / "x.txt").read_bytes() == "a\r\nb\rc\n\u2028".encode()
