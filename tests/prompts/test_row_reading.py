from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charter.errors import PromptError
from charter.given.reading import read_file
from charter.prompts import load_prompts
from charter.prompts.reading import SourceRow, read_rows

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of the test."""

    def written(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return written


def _lines(rows: list[SourceRow]) -> list[str]:
    return [row.place.rpartition(":")[2] for row in rows]


def _refusal(path: Path | str, **options: Any) -> str:
    with pytest.raises(PromptError) as caught:
        read_rows(str(path), **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


CSV_CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.tuples(CSV_CELLS, CSV_CELLS), min_size=1, max_size=5))
def test_any_text_survives_a_csv(write: Write, cells: list[tuple[str, str]]) -> None:
    """Quotes, commas, every newline and every line separator in a cell come back as they were."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *cells])
    rows = read_rows(str(write("x.csv", text.getvalue())))
    assert [(row.values["a"], row.values["b"]) for row in rows] == cells


def test_csv_lines_are_counted_through_cells_with_newlines(write: Write) -> None:
    """A row's place is the line that it begins on, whatever newlines the cells above it hold."""
    path = write("x.csv", 'id,prompt\n1,"one\ntwo\r\nthree ""quoted"""\n\n2,plain\r\n3,"a, b"\n')
    rows = read_rows(str(path))
    assert [row.place for row in rows] == [f"{path}:2", f"{path}:6", f"{path}:7"]
    assert rows[0].values == {"id": "1", "prompt": 'one\ntwo\r\nthree "quoted"'}
    assert rows[2].values == {"id": "3", "prompt": "a, b"}


def test_csv_rows_end_at_newlines_alone(write: Write) -> None:
    """Characters that Unicode calls line separators are text: they neither end a row nor count as a line."""
    rows = read_rows(str(write("x.csv", "id,prompt\n1,a\u2028b\x85c\x0cd\x1ce\n2,f\n")))
    assert [row.values["prompt"] for row in rows] == ["a\u2028b\x85c\x0cd\x1ce", "f"]
    assert _lines(rows) == ["2", "3"]


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.json"])
def test_a_byte_order_mark_is_no_text(write: Write, name: str) -> None:
    """A byte order mark at the start of a file is not part of its first column or value."""
    content = {"x.csv": "prompt\nhi\n", "x.jsonl": '{"prompt": "hi"}\n', "x.json": '["hi"]'}[name]
    assert read_rows(str(write(name, "\ufeff" + content)))[0].values == {"prompt": "hi"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", "nr;prompt;category\r\n1;Why, then?;a\r\n"),
        ("x.csv", '"nr";"prompt";"category"\n"1";"Why, then?";"a"\n'),
        ("x.csv", "nr\tprompt\tcategory\n1\tWhy, then?\ta\n"),
        ("x.tsv", "nr\tprompt\tcategory\n1\tWhy, then?\ta\n"),
        ("x.csv", '\nnr,prompt,category\n1,"Why, then?",a\n'),
        ("x.csv", "\ufeffsep=;\r\nnr;prompt;category\r\n1;Why, then?;a\r\n"),
    ],
)
def test_what_separates_cells_is_told_by_the_header(write: Write, name: str, content: str) -> None:
    """Spreadsheets of many countries write semicolons or tabs into a CSV; blank lines above a header are none."""
    (row,) = read_rows(str(write(name, content)))
    assert row.values == {"nr": "1", "prompt": "Why, then?", "category": "a"}
    assert row.header.rpartition(":")[2] == ("2" if content.startswith(("\n", "\ufeff")) else "1")
    assert _lines([row]) == [str(int(row.header.rpartition(":")[2]) + 1)]


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("prompt\nWhy; then?\n", ["prompt"]),
        ("prompt,a;b\nWhy; then?,c\n", ["prompt", "a;b"]),
        ("prompt;category, detail\nWhy, then, how?;c\n", ["prompt", "category, detail"]),
        ("sep=;\na,b;c,d\n1,2;3,4\n", ["a,b", "c,d"]),
        ("a,b;c,d\n1,2;3,4\n", ["a", "b;c", "d"]),
        ('prompt,"a;b;c\td"\nWhy,c\n', ["prompt", "a;b;c\td"]),
    ],
)
def test_a_comma_goes_before_other_separators(write: Write, content: str, columns: list[str]) -> None:
    """Where rows and header agree by commas, or by nothing, semicolons and tabs are text; else commas are."""
    (row,) = read_rows(str(write("x.csv", content)))
    assert list(row.values) == columns


def test_the_wrong_number_of_semicolons(write: Write) -> None:
    """What to check is what separates this file's cells."""
    message = _refusal(write("x.csv", "a;b\n1;2;3\n"))
    assert (
        message == ":2: 3 cells where the header has 2; check the semicolons, and put quotes around cells that hold one"
    )


def test_quotes_in_tsv(write: Write) -> None:
    """Quotes that cannot be those around a cell are text; where they can be they are read so."""
    rows = read_rows(str(write("x.tsv", 'prompt\tid\n"Who are you?" he asked\tx\n"Never closed\ty\n')))
    assert [row.values["prompt"] for row in rows] == ['"Who are you?" he asked', '"Never closed']
    assert _lines(rows) == ["2", "3"]
    (row,) = read_rows(str(write("x.tsv", 'prompt\tid\n"one\ttwo\nthree"\tx\n')))
    assert row.values == {"prompt": "one\ttwo\nthree", "id": "x"}


def test_a_wrong_tsv_names_its_line(write: Write) -> None:
    """Where neither reading works the error is a TSV's."""
    assert _refusal(write("x.tsv", "a\tb\n1\t2\t3\n")).startswith(":2: 3 cells where the header has 2; check the tabs")
    assert _refusal(write("x.tsv", 'a\tb\n"1" x\t2\t3\n')).startswith(":2: not TSV (")


def test_long_cells_are_read(write: Write) -> None:
    """A cell may be longer than the 131,072 characters where Python's reader stops by default."""
    rows = read_rows(str(write("x.csv", f"prompt\n{'x' * 500_000}\n")))
    assert len(rows[0].values["prompt"]) == 500_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": it holds no rows; give at least one"),
        ("prompt\n", ": it holds no rows; give at least one"),
        ("a,b,a\n1,2,3\n", ":1: the column name 'a' occurs twice; give each column its own name"),
        ('a,b\n1,2\n"x\ny",2,3\n', ":3: 3 cells where the header has 2; check the commas"),
        ("a,b\n1,2\n\n1\n", ":4: 1 cells where the header has 2; check the commas"),
        (
            'a,b\n1,2\n1,"never closed\n3,4\n5,6\n',
            ":3: not CSV (unexpected end of data); check the quotes of",
        ),
        ('a,b\n1,"x"y\n', ":2: not CSV ("),
        ('"a,b\n1,2\n', ":1: not CSV (unexpected end of data)"),
        (b"a,b\n1,caf\xe9\n", ":2: the byte 0xe9 is not UTF-8; save the file as UTF-8"),
    ],
)
def test_a_wrong_csv_names_its_line(write: Write, content: str | bytes, message: str) -> None:
    """What is wrong with a CSV is told with the line that its row begins on."""
    assert _refusal(write("x.csv", content)).startswith(message)


def test_json_lines_are_read(write: Write) -> None:
    """Objects and bare strings are rows; blank lines are not, and are counted."""
    path = write("x.jsonl", '{"prompt": "a\\n\u2028{x} %s", "n": 1}\r\n\n  \n"bare"\n{"prompt": null}')
    rows = read_rows(str(path))
    assert [row.values for row in rows] == [{"prompt": "a\n\u2028{x} %s", "n": 1}, {"prompt": "bare"}, {"prompt": None}]
    assert _lines(rows) == ["1", "4", "5"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n\n", ": it holds no rows"),
        ('{"prompt": "a"}\n{"prompt": \n', ":2: not JSON (expecting value at column 12); expected one object a line"),
        ('{"prompt": "a"}\n[1]\n', ":2: expected an object or a text, found a list"),
        ("3\n", ":1: expected an object or a text, found a number"),
        ("1" * 5000, ":1: not JSON (Exceeds the limit"),
        ("[" * 100_000, ":1: not JSON ("),
        (b'{"prompt": "\xff"}', ":1: the byte 0xff is not UTF-8"),
    ],
    ids=["empty", "torn", "list", "number", "long number", "deep", "bytes"],
)
def test_wrong_json_lines_name_their_line(write: Write, content: str | bytes, message: str) -> None:
    """What is wrong with JSON lines is told with the line."""
    assert _refusal(write("x.jsonl", content)).startswith(message)


def test_json_lists_are_read(write: Write) -> None:
    """A JSON list of objects or strings is a list of rows."""
    path = write("x.json", json.dumps([{"prompt": "a"}, "b"], indent=1))
    # the list opens on line 1, and the first object takes lines 2 to 4
    assert [(row.values, row.place) for row in read_rows(str(path))] == [
        ({"prompt": "a"}, f"{path}:2 item 1"),
        ({"prompt": "b"}, f"{path}:5 item 2"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", ": it holds no rows"),
        ('{"prompt": "a"}', ":1: expected a list of objects, found an object whose key 'prompt' is no number"),
        ('[{"prompt": "a"}, 3]', ":1 item 2: expected an object or a text, found a number"),
        ("[", ":1: not JSON (expecting value at column 2); expected a list of objects; a file with one object"),
        ('[\n "a",\n}\n', ":3: not JSON ("),
    ],
)
def test_wrong_json_names_its_item(write: Write, content: str, message: str) -> None:
    """What is wrong with a JSON file is told with the item."""
    assert _refusal(write("x.json", content)).startswith(message)


def test_parquet_is_read(tmp_path: Path) -> None:
    """A Parquet file's rows come as they are, nested values included."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"prompt": "a\r\n", "messages": [{"role": "user", "content": "x"}]}, {"prompt": None, "messages": []}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    read = read_rows(str(tmp_path / "x.parquet"))
    assert [row.values for row in read] == rows
    assert [row.place for row in read] == [f"{tmp_path}/x.parquet row 1", f"{tmp_path}/x.parquet row 2"]


def test_a_wrong_parquet_file_is_named(write: Write) -> None:
    """A file that is no Parquet is named."""
    assert _refusal(write("x.parquet", b"PAR1")).startswith(": not a Parquet file (")


def test_files_of_other_kinds_are_refused(write: Write) -> None:
    """A file whose kind is unknown names the kinds that are not; a missing one names what could have been."""
    assert _refusal(write("x.tab", "a\tb\n")) == (
        ": unknown kind of file '.tab'; known: .csv, .json, .jsonl, .ndjson, .parquet, .tsv, .txt, and those of text "
        "packed as .gz"
    )


@pytest.mark.parametrize(
    "source", ["none.csv", "folder/none.jsonl", "owner/notes.txt", "./owner/name", "a/b/c", "name"]
)
def test_a_missing_file_is_not_taken_for_a_dataset(source: str) -> None:
    """A path to nothing is a missing file, not a name to be asked for on the network."""
    assert _refusal(source).startswith(": no such file. Expected a CSV")


@pytest.mark.parametrize("source", ["owner/name", "owner/llama-3.1-evals", "Owner-1/data_2.0"])
def test_a_dataset_that_the_hub_does_not_give(source: str) -> None:
    """A name like owner/name is asked for on the hub; without a network it says what to check."""
    message = _refusal(source, split="train")
    assert message.startswith(": neither a file here nor a dataset that the Hugging Face Hub gave (")
    assert "HF_TOKEN" in message


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Give a folder in the layout that save_to_disk writes, with two splits."""
    import datasets

    splits = {name: datasets.Dataset.from_list([{"prompt": f"{name} {n}"} for n in range(2)]) for name in ("a", "b")}
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "saved"))
    splits["a"].save_to_disk(str(tmp_path / "lone"))
    datasets.Dataset.from_dict({"prompt": []}).save_to_disk(str(tmp_path / "empty"))
    return tmp_path / "saved"


def test_saved_datasets_are_read(saved: Path) -> None:
    """A saved folder is read by its split; one dataset without splits needs none."""
    rows = read_rows(str(saved), split="b")
    assert [(row.values, row.place) for row in rows] == [
        ({"prompt": "b 0"}, f"{saved} row 1"),
        ({"prompt": "b 1"}, f"{saved} row 2"),
    ]
    assert [row.values["prompt"] for row in read_rows(str(saved.parent / "lone"))] == ["a 0", "a 1"]


def test_several_splits_are_read_as_one(saved: Path) -> None:
    """In the order in which they are named."""
    rows = read_rows(str(saved), split="b+a")
    assert [row.values["prompt"] for row in rows] == ["b 0", "b 1", "a 0", "a 1"]
    assert _refusal(saved, split="a+c") == ": has no split 'c', only a, b"


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Give a folder of Parquet files as datasets of the hub lie there: one split of two files, and one of one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "tables"
    (folder / "data").mkdir(parents=True)
    for name in ("train_sft-00000-of-00002", "train_sft-00001-of-00002", "test_sft-00000-of-00001"):
        pq.write_table(pa.table({"prompt": [f"{name} {n}" for n in range(2)]}), folder / f"data/{name}.parquet")
    return folder


def test_folders_of_tables_are_read_by_split(tables: Path) -> None:
    """All files of the splits that are named, each row with its file."""
    rows = read_rows(str(tables), split="train_sft")
    assert [row.values["prompt"][-1] for row in rows] == ["0", "1", "0", "1"]
    assert rows[2].place == f"{tables}/data/train_sft-00001-of-00002.parquet row 1"
    assert len(read_rows(str(tables), split="train_sft+test_sft")) == 6
    assert _refusal(tables) == ": has the splits test_sft, train_sft; choose one with 'split'"
    assert _refusal(tables, split="train_sft+other") == ": has the splits test_sft, train_sft; there is no 'other'"
    assert len(load_prompts(str(tables), "helpful", split="train_sft+test_sft").prompts) == 6


def test_given_rows_are_on_one_side(tables: Path) -> None:
    """Splits to train on and splits that are held out are not read as one."""
    assert len(read_file(tables, split="train_sft").rows) == 4
    with pytest.raises(PromptError, match="some are trained on and some held out"):
        read_file(tables, split="train_sft+test_sft")
    (tables / "data/test_sft-00000-of-00001.parquet").unlink()
    assert read_file(tables).split == "train_sft"


def test_wrong_saved_datasets_are_named(saved: Path) -> None:
    """A split that is missing, or not chosen, names those that there are; another folder is named."""
    assert _refusal(saved) == ": has the splits a, b; choose one with 'split'"
    assert _refusal(saved, split="c") == ": has no split 'c', only a, b"
    assert _refusal(saved.parent / "lone", split="a").startswith(": is one dataset without splits; leave out 'split'")
    assert _refusal(saved.parent / "empty") == ": it holds no rows; give at least one"
    assert _refusal(saved.parent).startswith(": not a folder that datasets' save_to_disk wrote (")
