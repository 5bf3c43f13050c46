"""Reading YAML and JSON: verbatim values, their lines, and what is refused."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import charter.files.yaml_reading
from charter.errors import RecipeError, UserError
from charter.files.yaml_reading import MAX_BYTES, MAX_DEPTH, parse_yaml, read_yaml


def refusal(text: str, source: str = "my.yaml") -> str:
    """Parse text that must be refused, within a second of computing, and give back the message."""
    start = time.process_time()
    with pytest.raises(UserError) as caught:
        parse_yaml(text, source)
    assert time.process_time() - start < 1.0
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2026-01-31", "2026-01-31"),
        ("1_000", "1_000"),
        ("0o17", 15),
        ("017", 17),
        ("0xff", 255),
        ("-3", -3),
        ("1.0", 1.0),
        ("2e-4", 2e-4),
        (".5", 0.5),
        ("+.inf", math.inf),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("null", None),
        ('"1.0"', "1.0"),
        ("'no'", "no"),
        ("a {b} 100 % c :d", "a {b} 100 % c :d"),
    ],
)
def test_scalars_follow_the_core_schema(written: str, value: Any) -> None:
    """Unquoted scalars are what YAML 1.2 says; quoted ones are text."""
    found = parse_yaml(f"key: {written}\n", "my.yaml").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_read() -> None:
    """``.nan`` is a float; whoever reads a setting decides about it."""
    assert math.isnan(parse_yaml("key: .nan\n", "my.yaml").data["key"])


def test_lines_are_those_of_the_file() -> None:
    """Every value knows its line, and a missing one that of what is around it."""
    document = parse_yaml("# comment\na: 1\nb:\n  - x\n  - c: >-\n      long\n      text\n    d: 2\n", "my.yaml")
    assert document.data == {"a": 1, "b": ["x", {"c": "long text", "d": 2}]}
    assert document.line_of(("a",)) == 2
    assert document.line_of(("b", 0)) == 4
    assert document.line_of(("b", 1)) == 5
    assert document.line_of(("b", 1, "d")) == 8
    assert document.line_of(("b", 1, "missing")) == 5
    assert document.line_of(("missing",)) == 2
    assert document.where(("b", 1, "d")) == "my.yaml:8"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a: &x 1\nb: *x\n", ["my.yaml:1", 'anchor "&x"', "remove it"]),
        ("a: 1\nb: *x\n", ["my.yaml:2", 'alias "*x"', "write the value out"]),
        ("a: !!python/object/apply:os.system [ls]\n", ["my.yaml:1", "tag", "os.system", "remove it"]),
        ("a: !secret x\n", ["my.yaml:1", 'tag "!secret"', "quote"]),
        ("a: 1\nb: 2\na: 3\n", ["my.yaml:3", 'key "a" is used twice', "first on line 1"]),
        ("x:\n  - k: 1\n    k: 2\n", ["my.yaml:3", 'key "k" is used twice', "first on line 2"]),
        ("1: a\n", ["my.yaml:1", '"1" is used as a key', "put it in quotes"]),
        ("[a]: b\n", ["my.yaml:1", "a list or mapping is used as a key"]),
        ("a: 1\n---\nb: 2\n", ["my.yaml:2", "second document"]),
        ("a: b: c\n", ["my.yaml:1", "not valid YAML", 'put quotes around text that contains ": "']),
        ("a:\n\tb: 1\n", ["my.yaml:2", "not valid YAML", "spaces"]),
        ("a: @home\n", ["my.yaml:1", 'put quotes around text that starts with "@"']),
        ("a: [1, 2\n", ["not valid YAML", "brackets"]),
        ("a: 1\nb: x\x00y\n", ["my.yaml:2", "U+0000", "remove it"]),
        ('a: "\\ud800"\n', ["my.yaml:1"]),
        (f"a: {'1' * 400}\n", ["my.yaml:1", "400 digits"]),
    ],
)
def test_refusals_name_line_and_remedy(text: str, pieces: list[str]) -> None:
    """What must not be in a file is refused at its line, with what to do."""
    message = refusal(text)
    for piece in pieces:
        assert piece in message


def test_refusals_are_the_same_without_the_c_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without libyaml reads and refuses the same."""
    monkeypatch.setattr(charter.files.yaml_reading, "_PARSER", charter.files.yaml_reading.yaml.SafeLoader)
    assert parse_yaml('a: no\nb: "1"\nc:\n  - 2\n', "my.yaml").data == {"a": "no", "b": "1", "c": [2]}
    assert "alias" in refusal("b: *x\n")
    assert "half of a surrogate pair" in refusal('a: "\\ud800"\n')
    assert f"more than {MAX_DEPTH} deep" in refusal("[" * 100)
    assert "indent with spaces" in refusal("a:\n\tb: 1\n")
    assert 'starts with "@"' in refusal("a: @home\n")


def test_alias_bomb_is_refused() -> None:
    """Nine levels of nine aliases would be hundreds of millions of values."""
    rows = ['a0: &a0 ["x", "x"]', *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))]
    assert "anchor" in refusal("\n".join(rows))


@pytest.mark.parametrize("source", ["my.yaml", "my.json"])
def test_deep_nesting_is_refused(source: str) -> None:
    """Fifty levels are read, one more is not, and a hundred thousand cost nothing."""
    assert parse_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH, source).data is not None
    assert f"{source}:1: values are nested more than {MAX_DEPTH} deep" in refusal(
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), source
    )
    assert f"more than {MAX_DEPTH} deep" in refusal("[" * 100_000, source)


def test_deep_block_nesting_is_refused() -> None:
    """Indentation nests as brackets do."""
    text = "".join(f"{' ' * level}a:\n" for level in range(MAX_DEPTH + 5))
    assert f"my.yaml:{MAX_DEPTH + 1}: values are nested" in refusal(text)


def test_large_files_are_refused(tmp_path: Path) -> None:
    """A file beyond the limit is not parsed, and an endless one not read."""
    path = tmp_path / "big.yaml"
    path.write_bytes(b"a: " + b"x" * MAX_BYTES)
    for endless in (path, Path("/dev/zero")):
        with pytest.raises(UserError, match="larger than 5 MB; split it or shorten it"):
            read_yaml(endless)


def test_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    """Editors on Windows put one in front."""
    for name, text in (("a.yaml", "a: ü\n"), ("a.json", '{"a": "ü"}')):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert read_yaml(tmp_path / name).data == {"a": "ü"}


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    """A byte that is not UTF-8 is named with its line."""
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: 1\nb: \xfc\n")
    with pytest.raises(UserError, match=r"latin\.yaml:2: byte 0xfc is not UTF-8; save the file as UTF-8"):
        read_yaml(path)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    """The caller's own kind of error is raised."""
    with pytest.raises(RecipeError, match="cannot be read"):
        read_yaml(tmp_path / "none.yaml", error=RecipeError)
    with pytest.raises(RecipeError, match="cannot be read"):
        read_yaml(tmp_path, error=RecipeError)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but a comment\n"])
def test_empty_file_is_none(text: str) -> None:
    """An empty document holds nothing, and that is not a fault of its form."""
    document = parse_yaml(text, "my.yaml")
    assert document.data is None
    assert document.line_of(()) == 1


def test_windows_line_ends_count_once() -> None:
    """CR LF is one line end, and block text keeps LF."""
    document = parse_yaml("a: |\r\n  x\r\n  y\r\nb: 1\r\n", "my.yaml")
    assert document.data == {"a": "x\ny\n", "b": 1}
    assert document.line_of(("b",)) == 4


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ('{"a": 1,\n "a": 2}', ["my.json:2", 'key "a" is used twice', "first on line 1"]),
        ('{"a": 1,}', ["my.json:1", "expected a key", "no comma"]),
        ("{'a': 1}", ["my.json:1", "double quotes"]),
        ('{"a": tru}', ["my.json:1", "expected a value", "'tru}'"]),
        ('{"a": NaN}', ["my.json:1", "expected a value"]),
        ('{"a"\n 1}', ["my.json:2", 'expected ":"']),
        ('["a"', ["my.json:1", 'expected "," or "]"', "the end of the file"]),
        ('["a', ["my.json:1", "Unterminated string"]),
        ('{"a": 1}\nx', ["my.json:2", "follows the end"]),
        ('["\\ud800"]', ["my.json:1", "surrogate"]),
    ],
)
def test_json_refusals_name_line_and_remedy(text: str, pieces: list[str]) -> None:
    """JSON is read strictly, by line."""
    message = refusal(text, "my.json")
    for piece in pieces:
        assert piece in message


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(_JSON, st.sampled_from([None, 2, "\t"]), st.booleans())
def test_json_is_read_as_the_standard_library_reads_it(value: Any, indent: int | str | None, ascii_only: bool) -> None:
    """Any JSON that the standard library writes comes back equal."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert parse_yaml(text, "my.json").data == json.loads(text)


def test_json_lines_are_known() -> None:
    """A JSON value knows its line as a YAML value does."""
    document = parse_yaml('{\n\t"a": [\n\t\t1,\n\t\t{"b": 2}\n\t]\n}', "my.json")
    assert document.line_of(("a",)) == 2
    assert document.line_of(("a", 1, "b")) == 4
