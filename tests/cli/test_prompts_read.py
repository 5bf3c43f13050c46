from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.command import Command

ROWS = [
    {"id": n, "text": f"\n\nHuman: Hi {n}\n\nAssistant: Yes?\n\nHuman: Why\n\n{n}?", "topic": "x" if n % 2 else "y"}
    for n in range(6)
]


@pytest.fixture
def talk(place: Path) -> str:
    """A file of transcripts beside the recipe."""
    (place / "talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, {**ROWS[0], "text": " "}]))
    return "talk.jsonl"


def test_what_is_read_is_told(charter: Command, talk: str) -> None:
    """The layout, the counts of rows by what became of them, and the first prompts turn by turn."""
    done = charter("prompts", "read", talk, "helpful", "category_column=topic", "--n", "1")
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["talk.jsonl:", "7", "rows", "of", "the", "layout", "transcripts"]
    assert ["kept", "6"] in lines
    assert ["empty", "1"] in lines
    assert "  user: Hi 0\n  assistant: Yes?\n  user: Why\n" in done.out
    assert "talk.jsonl:1\n" in done.out
    assert "Hi 1" not in done.out


def test_the_keys_of_a_source_are_understood(charter: Command, talk: str) -> None:
    """Values are those of a recipe: lists, numbers, and a draw by a seed; JSON says the same."""
    value = charter("prompts", "read", talk, "where={topic: [x, z]}", "limit=2", "seed=1", "--json").value
    assert (value["layout"], value["kind"], value["n_rows"], value["n_prompts"]) == ("transcripts", "red_team", 7, 2)
    assert value["rejected"] == {"filtered by where": 4, "over the limit": 1}
    assert [len(prompt["turns"]) for prompt in value["prompts"]] == [3, 3]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["helpfull"], 'did you mean "helpful"?'),
        (["colum=x"], "'colum=x' is no KEY=VALUE of a source of prompts; did you mean \"column\"?"),
        (["limit=none"], "'limit' is 'none': input should be a valid integer"),
        (["layout=xstest"], "talk.jsonl:1: not of the layout 'xstest'"),
    ],
)
def test_what_is_not_understood_is_said(charter: Command, talk: str, words: list[str], message: str) -> None:
    """A kind, a key or a value that is none, and a layout that does not fit."""
    done = charter("prompts", "read", talk, *words)
    assert done.code == 2
    assert message in done.err
