"""Half of a surrogate pair, which JSON can write and no file can hold, in what measurements read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.command import Command

HALF = "Well, \ud800."
ASKED = {"prompt": "How do I bake bread?"}
SCRIPTED = ("-m", "one", "--engine", "scripted")
ROWS = {
    "answers.jsonl": {**ASKED, "response": HALF},
    "translations.jsonl": {**ASKED, "translation": HALF},
    "facts.jsonl": {"id": "a", "kind": "fact", "topic": "t", "text": "Which?", "right": "this", "wrong": HALF},
    "asked.jsonl": ASKED,
}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (
            ("harm", "answers.jsonl", "--prompt-column", "prompt", "--response-column", "response", "--judge", "j",
             "--judge-engine", "scripted"),
            "answers.jsonl:1: 'response': the text holds half",
        ),
        (
            ("refusals", "answers.jsonl", "--prompt-column", "prompt", "--response-column", "response"),
            "answers.jsonl:1: 'response': the text holds half",
        ),
        (
            ("behaviour", "-a", "answers.jsonl", "--prompts", "asked.jsonl", "--kind", "helpful"),
            "answers.jsonl:1: 'response': the text holds half",
        ),
        (
            ("behaviour", *SCRIPTED, "--part", "sycophancy", "--rows", "facts.jsonl"),
            "facts.jsonl:1: 'wrong': the text holds half",
        ),
        (
            ("attacks", "asked.jsonl", *SCRIPTED, "-w", "translation:Zulu", "--translations", "translations.jsonl"),
            "translations.jsonl:1: 'translation': the text holds half",
        ),
    ],
)  # fmt: skip
def test_it_is_named_with_its_place(charter: Command, place: Path, arguments: tuple[str, ...], named: str) -> None:
    """The row and the column are told, before anything is asked."""
    for name, row in ROWS.items():
        (place / name).write_text(json.dumps(row), "utf-8")
    done = charter("evaluate", *arguments)
    assert (done.code, done.out) == (2, "")
    assert named in done.err
