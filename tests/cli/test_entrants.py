"""How those who meet are named: names, models, engines behind an @, addresses, and files of answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from charter.cli.evaluating.entrants import read_entrant, read_entrants
from charter.errors import ModelError, UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smollm2-135m", ("smollm2-135m", "smollm2-135m", "transformers")),
        ("base=Qwen/Qwen2.5-7B-Instruct", ("base", "Qwen/Qwen2.5-7B-Instruct", "transformers")),
        ("mini=gpt-4o-mini@openai", ("mini", "gpt-4o-mini", "openai")),
        ("gpt-4o-mini@openai", ("gpt-4o-mini", "gpt-4o-mini", "openai")),
        ("m=llama3:8b@http://localhost:8000/v1", ("m", "llama3:8b", "http://localhost:8000/v1")),
        (
            "m@http://a:8000/v1,http://b:8001/v1",
            ("m", "m", "http://a:8000/v1,http://b:8001/v1"),
        ),
        ("runs/lr=3/models/dpo", ("runs/lr=3/models/dpo", "runs/lr=3/models/dpo", "transformers")),
        ("mine=answers.jsonl", ("mine", "answers.jsonl", "")),
        ("mine=some/answers.csv.gz", ("mine", "some/answers.csv.gz", "")),
        ("answers.csv", ("answers.csv", "answers.csv", "")),
    ],
)
def test_what_is_named(text: str, expected: tuple[str, str, str]) -> None:
    """A name is what stands before the first equals sign, an engine what stands behind an @."""
    found = read_entrant(text, "transformers")
    assert (found.name, found.source, found.engine) == expected
    assert (found.spec is None) == (not expected[2])


def test_what_is_a_path_here_is_no_name_and_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders whose names hold an equals sign or an @ are folders."""
    monkeypatch.chdir(tmp_path)
    for name in ("lr=3", "a@openai"):
        Path(name).mkdir()
        assert (read_entrant(name, "transformers").source, read_entrant(name, "transformers").name) == (name, name)


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        (["one"], UserError, "give two or more"),
        (["m", "m@openai"], UserError, "two models are called 'm'; name one otherwise, such as other=m"),
        (["a=", "b"], UserError, "expected a model or a file"),
        (["m@http://me:word@host:8000/v1", "b"], ModelError, "holds a name, a password or a query"),
        (["m@opnai", "b"], ModelError, "MODEL 'm@opnai': .*did you mean .openai"),
    ],
)
def test_what_cannot_meet_is_named(texts: list[str], error: type[Exception], message: str) -> None:
    """One alone, a name twice, nothing behind a name, and an engine that is none are refused."""
    with pytest.raises(error, match=message):
        read_entrants(texts, "transformers")
