"""Hostile texts in every text format: read verbatim, or refused with the file and line; and bombs, refused at once."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charter.errors import PromptError
from charter.prompts import load_prompts
from charter.prompts.json_rows import MAX_DEPTH
from row_examples import HOSTILE_TEXTS

MORE_TEXTS = (
    "{0.__class__.__mro__}",
    "${jndi:ldap://x}",
    "%(a)s %n %",
    "<script>alert(1)</script>",
    "\x01\x02\x1b[31mred\x7f",
    "\u202egnirts a\u2069",
    "a\rb\nc\r\nd\n\re",
    'ends in a quote"',
    '"',
    '""',
    "'",
    "\\",
    "\\u0000",
    ",;\t|",
    "\ufeff",
    "0",
    "nan",
    "- a: b\n  c: &x *x",
    "\U000e0041",
)
TEXTS = tuple(text for text in (*HOSTILE_TEXTS, *MORE_TEXTS) if text.strip())


def _separated(separator: str) -> Callable[[list[str]], str]:
    def written(texts: list[str]) -> str:
        out = io.StringIO(newline="")
        csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL).writerows([("prompt",), *([one] for one in texts)])
        return out.getvalue()

    return written


def _jsonl(texts: list[str], *, ascii_only: bool = False) -> str:
    return "".join(json.dumps({"prompt": one}, ensure_ascii=ascii_only) + "\n" for one in texts)


FORMATS: dict[str, Callable[[list[str]], str]] = {
    "x.csv": _separated(","),
    "x.tsv": _separated("\t"),
    "x.jsonl": _jsonl,
    "escaped.jsonl": lambda texts: _jsonl(texts, ascii_only=True),
    "x.json": lambda texts: json.dumps(texts, ensure_ascii=False),
    "keyed.json": lambda texts: json.dumps({"0": [{"prompt": one} for one in texts]}, indent=2),
}


def _read(path: Path, content: str) -> list[str]:
    path.write_bytes(content.encode())
    return [prompt.turns[0].content for prompt in load_prompts(str(path), "red_team").prompts]


@pytest.mark.parametrize("name", FORMATS)
def test_hostile_texts_are_read_as_they_stand(tmp_path: Path, name: str) -> None:
    """Each of them, beside a plain one, comes back to the letter from every text format."""
    wanted = ["plain", *dict.fromkeys(TEXTS)]
    assert _read(tmp_path / name, FORMATS[name](wanted)) == wanted


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=6, unique=True))
@pytest.mark.parametrize("name", FORMATS)
def test_any_text_is_read_as_it_stands(tmp_path: Path, name: str, texts: list[str]) -> None:
    """Whatever a text holds, it comes back, if it holds anything."""
    wanted = ["plain", *(text for text in texts if text.strip() and text != "plain")]
    assert _read(tmp_path / name, FORMATS[name](["plain", *texts])) == wanted


def test_nothing_runs_in_messages(tmp_path: Path) -> None:
    """Conversations keep every turn's text too."""
    turns = [{"role": role, "content": text} for text in TEXTS for role in ("user", "assistant")]
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"messages": turns}) + "\n")
    found = load_prompts(str(path), "red_team").prompts[0].turns
    assert [turn.content for turn in found] == [turn["content"] for turn in turns[:-1]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "x.jsonl",
            '"a"\n{"prompt": "\\ud800"}\n',
            ":2: not a message (content is '\\ud800': the text holds half of a surrogate",
        ),
        (
            "x.json",
            '["a",\n"\\udfff"]',
            ":2 item 2: not a message (content is '\\udfff': the text holds half of a surrogate",
        ),
        ("x.jsonl", '{"prompt": "a", "prompt": "b"}\n', ":1: not JSON (the key 'prompt' occurs twice in an object)"),
        ("x.json", '[\n{"a": {"b": 1, "b": 2}}]', ":2: not JSON (the key 'b' occurs twice in an object)"),
        ("x.json", '{"0": [],\n"0": []}', ":2: the key '0' occurs twice; give each list its own"),
        ("x.jsonl", '{"prompt": "a\nb"}\n', ":1: not JSON (unterminated string starting at column 12)"),
        ("x.csv", 'prompt\n"a\n', ":2: not CSV (unexpected end of data)"),
        ("x.json", '[{"prompt": "a"},]', ":1: not JSON ("),
        ("x.json", '[{"prompt": "a"}] x', ":1: not JSON (extra data at column 19)"),
        ("x.json", '{"0": [{"prompt": "a"}],}', ":1: not JSON ("),
        ("x.json", "7", ": expected a list of objects, found a number"),
        ("x.json", '{"0": 7}', ":1: expected a list of objects, found an object whose key '0'"),
    ],
)
def test_what_no_text_can_be_is_refused_by_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    """Half a surrogate, a key twice, a torn row: the file and the line."""
    path = tmp_path / name
    path.write_text(content, "utf-8")
    with pytest.raises(PromptError) as caught:
        load_prompts(str(path), "red_team")
    assert str(caught.value).removeprefix(str(path)).startswith(message)


def _nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", "[" * 5_000_000, ":1: not JSON (values are nested more than 50 deep)"),
        ("x.json", "[" * 5_000_000, ":1: not JSON (values are nested more than 50 deep)"),
        ("x.json", '{"0": [' + '{"a": ' * 100_000, ":1: not JSON (values are nested more than 50 deep)"),
        ("x.jsonl", json.dumps({"prompt": "a", "b": _nested(MAX_DEPTH)}), ":1: values are nested more than 50 deep"),
        ("x.json", json.dumps([{"b": _nested(MAX_DEPTH)}]), ":1 item 1: values are nested more than 50 deep"),
        ("x.jsonl", "1" * 5_000_000, ":1: not JSON (Exceeds the limit"),
        ("x.jsonl", f'"{"x" * 11_000_000}"', ":1: a row of 11000002 characters, and it may have 10000000"),
        ("x.json", f'["{"x" * 11_000_000}"]', ":1 item 1: a row of 11000002 characters, and it may have 10000000"),
        ("x.csv", f"prompt\n{'x' * 11_000_000}\n", ":2: not CSV (field larger than field limit (10000000))"),
    ],
    ids=["lines", "list", "keyed", "row", "item", "number", "line", "text", "cell"],
)
def test_bombs_are_refused_at_once(tmp_path: Path, name: str, content: str, message: str) -> None:
    """Depth and size beyond any prompt's are told by line, within a moment."""
    path = tmp_path / name
    path.write_text(content)
    start = time.process_time()
    with pytest.raises(PromptError) as caught:
        load_prompts(str(path), "red_team")
    assert time.process_time() - start < 1.0
    assert str(caught.value).removeprefix(str(path)).startswith(message)


def test_rows_as_deep_as_is_allowed_are_read(tmp_path: Path) -> None:
    """What stays within the bound is no bomb, however many brackets it has."""
    path = tmp_path / "x.jsonl"
    row = {"prompt": "a", "deep": _nested(MAX_DEPTH - 1), "wide": [[n] for n in range(1000)]}
    path.write_text(json.dumps(row) + "\n")
    assert load_prompts(str(path), "red_team").prompts[0].text == "a"


@pytest.mark.slow
def test_a_large_file_is_no_bomb(tmp_path: Path) -> None:
    """A hundred megabytes of JSON lines are prompts like any other."""
    path = tmp_path / "x.jsonl"
    with path.open("w") as file:
        file.writelines(json.dumps({"prompt": f"{n} " + "x" * 1000}) + "\n" for n in range(100_000))
    assert path.stat().st_size > 100_000_000
    assert len(load_prompts(str(path), "red_team").prompts) == 100_000
