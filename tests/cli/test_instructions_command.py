"""``charter evaluate instructions``: what it prints and writes, that it goes on, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.engines.base import Completion, CompletionRequest
from charter.engines.scripted import ScriptedEngine
from charter.evaluation.instructions import load_instructions
from charter.statistics import paired_rate_difference, wilson_interval
from cli.command import Command

SCRIPTED = "--engine", "scripted"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[CompletionRequest]:
    """What scripted engines were asked: every model answers without a comma, a model called ``b`` without words."""
    made: list[CompletionRequest] = []

    async def complete(self: ScriptedEngine, request: CompletionRequest) -> Completion:
        made.append(request)
        text = "," if ":b:" in self.identity else "no comma is here."
        return Completion(text=text, finish="length", n_prompt_tokens=1, n_completion_tokens=1)

    monkeypatch.setattr(ScriptedEngine, "complete", complete)
    return made


def follow(charter: Command, *arguments: object) -> dict[str, Any]:
    """Run the command with --json."""
    done = charter("evaluate", "instructions", *map(str, arguments), "--json")
    assert done.code == 0, done.err
    value: dict[str, Any] = done.value
    return value


def figures(file: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Give a file's figures by name, model and subset."""
    return {(one["name"], one["model"], one["subset"]): one for one in file["measurements"]}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def asks(n: int, *, comma: bool = True) -> list[dict[str, Any]]:
    """Make prompts that forbid commas, or ask for a word."""
    name, kwargs = ("punctuation:no_comma", {}) if comma else ("keywords:existence", {"keywords": ["harbour"]})
    return [
        {"key": number, "prompt": f"Say {number}.", "instruction_id_list": [name], "kwargs": [kwargs]}
        for number in range(n)
    ]


def test_a_model_alone_and_beside_another(charter: Command, place: Path, asked: list[CompletionRequest]) -> None:
    """Each figure has n and an interval; a second model is compared with the first, prompt by prompt."""
    file = write(place / "mine.jsonl", asks(8))
    found = follow(charter, file, "-m", "base=a", "-m", "b", *SCRIPTED, "--out", "kept")
    (told,) = found["files"]
    assert len(asked) == 16
    assert (told["n_prompts"], told["n_instructions"], told["cut"]) == (8, 8, {"base": 8, "b": 8})
    strict = figures(told)["prompts_followed_strict", "base", "all"]
    bounds = wilson_interval(8, 8)
    assert (strict["value"], strict["low"], strict["n"]) == (1.0, pytest.approx(bounds.low), 8)
    other = figures(told)["prompts_followed_strict", "b", "all"]
    plain = paired_rate_difference([1.0] * 8, [0.0] * 8)
    assert (other["difference"], other["difference_high"]) == (-1.0, pytest.approx(plain.high))
    assert other["p_value"] == pytest.approx(4 * plain.p_value)
    family = figures(told)["instructions_followed_strict", "b", "punctuation"]
    assert family["p_value"] == pytest.approx(plain.p_value)
    assert found == json.loads((place / "kept/instructions.json").read_text("utf-8"))
    rows = [json.loads(line) for line in (place / "kept/answers.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 16
    assert (rows[0]["key"], rows[0]["model"], rows[0]["strict"], rows[-1]["strict"]) == ("0", "base", [True], [False])


def test_files_are_told_apart(charter: Command, place: Path, asked: list[CompletionRequest]) -> None:
    """Several files are measured each by itself, though their keys are the same."""
    files = write(place / "one.jsonl", asks(6)), write(place / "two.jsonl", asks(6, comma=False))
    found = follow(charter, *files, "-m", "a", *SCRIPTED)
    values = [figures(one)["prompts_followed_loose", "a", "all"]["value"] for one in found["files"]]
    assert [one["file"] for one in found["files"]] == [str(file) for file in files]
    assert values == [1.0, 0.0]
    assert len(asked) == 6  # the same prompts are answered once


def test_a_folder_is_gone_on_from(charter: Command, asked: list[CompletionRequest]) -> None:
    """More prompts and another model ask what is new alone; the same command asks nothing."""
    few = "-m", "a", *SCRIPTED, "--out", "kept", "--n", "5"
    follow(charter, *few)
    assert len(asked) == 5
    follow(charter, *few)
    assert len(asked) == 5
    found = follow(charter, "-m", "a", "-m", "b", *SCRIPTED, "--out", "kept", "--n", "9")
    assert len(asked) == 5 + 4 + 9
    assert found["files"][0]["file"] == "built-in"
    assert found["files"][0]["n_prompts"] == 9


def test_answers_stand_in_for_models(charter: Command, place: Path) -> None:
    """Answers that are there are found by the prompt; what has none is counted and not measured."""
    rows = asks(6)
    good = write(place / "good.jsonl", [{"prompt": row["prompt"], "response": "No."} for row in rows])
    bad = write(place / "bad.jsonl", [{"prompt": row["prompt"], "response": "Well, no."} for row in rows[1:]])
    file = write(place / "mine.jsonl", rows)
    told = follow(charter, file, "--answers", f"good={good}", "--answers", f"bad={bad}")["files"][0]
    strict = figures(told)["prompts_followed_strict", "bad", "all"]
    assert (strict["n"], strict["value"], strict["difference"]) == (5, 0.0, -1.0)
    assert told["missing"] == {"good": {}, "bad": {"not in the file of answers": 1}}


def test_answers_to_what_was_not_asked_are_counted(charter: Command, place: Path) -> None:
    """Of one file of answers to the prompts of two, those to neither are told."""
    one, two, others = asks(6)[:3], asks(6)[3:5], asks(6)[5:]
    files = write(place / "one.jsonl", one), write(place / "two.jsonl", two)
    answers = write(
        place / "answers.jsonl", [{"prompt": row["prompt"], "response": "No."} for row in (*one, *two, *others)]
    )
    found = follow(charter, *files, "--answers", f"mine={answers}")
    assert [figures(told)["prompts_followed_strict", "mine", "all"]["n"] for told in found["files"]] == [3, 2]
    assert found["other_answers"] == {"mine": 1}
    done = charter("evaluate", "instructions", *files, "--answers", f"mine={answers}")
    assert done.out.startswith("mine: 1 answers of its file are to prompts that were not asked\n")


def test_the_whole_as_text(charter: Command, asked: list[CompletionRequest]) -> None:
    """A line a figure and model, then each family's strict share, and what was cut."""
    done = charter("evaluate", "instructions", "-m", "base=a", "-m", "b", *SCRIPTED)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    rows = load_instructions()
    assert lines[0] == f"built-in: {len(rows)} prompts with {sum(len(row.instructions) for row in rows)} instructions"
    assert f"base: {len(rows)} answers cut at --max-tokens" in lines
    assert sum(line.startswith("Prompts followed, strict") for line in lines) == 2
    assert sum(line.startswith("punctuation ") for line in lines) == 2
    assert asked


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "neither is given; give one of the two"),
        (("-m", "a", "--answers", "x.jsonl"), "both are given; give one of the two"),
        (("--answers", "nowhere.jsonl"), "--answers nowhere.jsonl: no such file"),
        (("--answers", "smollm2-135m"), "--answers smollm2-135m: is no file of answers"),
        (("-m", "answers.csv"), "is a file of answers; expected a model"),
        (("-m", "a", "-m", "a", *SCRIPTED), "two models are called 'a'"),
        (("nowhere.jsonl", "-m", "a", *SCRIPTED), "nowhere.jsonl: no such file"),
        (("demo.yaml", "-m", "a", *SCRIPTED), "demo.yaml"),
    ],
)
def test_what_cannot_be_measured_is_explained(charter: Command, arguments: tuple[str, ...], message: str) -> None:
    """Nobody to ask, files that are no answers, two of one name, and files that are not there."""
    done = charter("evaluate", "instructions", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_other_settings_in_the_same_folder_are_refused(charter: Command, asked: list[CompletionRequest]) -> None:
    """A folder holds answers that were drawn in one way, and one model by each name."""
    begun = "-m", "base=a", *SCRIPTED, "--n", "2", "--out", "kept"
    follow(charter, *begun)
    for arguments, what in (((*begun, "--max-tokens", "9"), "--max-tokens"), (("-m", "base=b", *begun[2:]), "base")):
        done = charter("evaluate", "instructions", *arguments)
        assert done.code == 2
        assert "was begun with another" in done.err
        assert what in done.err
    assert len(asked) == 2


@pytest.mark.model
def test_a_real_model_is_asked(charter: Command, tiny_model: Path) -> None:
    """Tiny random weights answer, and hardly follow."""
    told = follow(charter, "-m", f"tiny={tiny_model}", "--n", 6, "--max-tokens", 12)["files"][0]
    strict = figures(told)["instructions_followed_strict", "tiny", "all"]
    assert strict["n"] == told["n_instructions"]
    assert strict["low"] < 0.5
