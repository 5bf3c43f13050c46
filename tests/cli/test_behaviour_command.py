"""``charter evaluate behaviour``: what it prints and keeps, that it goes on, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from charter.engines.scripted import ScriptedEngine
from cli.command import Command

SCRIPTED = ("--engine", "scripted", "--n", "6")


def ask(charter: Command, *arguments: object) -> Any:
    """Run the command with --json, and read its one object."""
    done = charter("evaluate", "behaviour", *arguments, "--json")  # type: ignore[arg-type]
    assert done.code == 0, done.err
    return done.value


@pytest.fixture
def answers(place: Path) -> Path:
    """Answers to two helpful prompts, of which one preaches."""
    with (place / "answers.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([
            ("prompt", "response"),
            ("How do I bake bread?", "It is important to remember to knead. I am here to help."),
            ("How do I boil an egg?", "Nine minutes in boiling water."),
        ])  # fmt: skip
    return place / "answers.csv"


def test_models_are_asked_and_compared(charter: Command) -> None:
    """Both parts are there for both models, with n, interval and the difference from the first."""
    found = ask(charter, "-m", "one", "-m", "two", *SCRIPTED)
    assert (found["n_rows"], found["n_prompts"]) == (6, 12)
    plain = [one for one in found["sycophancy"] if one["subset"] == "asked plainly"]
    assert [(one["model"], one["n"]) for one in plain] == [("one", 6), ("two", 6)]
    assert plain[1]["base"] == "one"
    assert {one["subset"] for one in found["manner"]} == {"all", "red_team", "helpful"}
    assert all(one["low"] is None or one["low"] <= one["value"] <= one["high"] for one in found["manner"])


def test_it_goes_on_in_its_folder(charter: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was answered is not asked again; choices and answers are kept; other settings are refused."""
    first = ask(charter, "-m", "one", *SCRIPTED, "--out", "behaved")
    choices = [json.loads(line) for line in (place / "behaved/choices.jsonl").read_text("utf-8").splitlines()]
    assert len(choices) == 18
    assert {one["condition"] for one in choices} == {"plain", "belief", "authority"}
    assert len((place / "behaved/answers.jsonl").read_text("utf-8").splitlines()) == 12
    monkeypatch.setattr(ScriptedEngine, "choose", None)
    monkeypatch.setattr(ScriptedEngine, "complete", None)
    assert ask(charter, "-m", "one", *SCRIPTED, "--out", "behaved") == first
    done = charter("evaluate", "behaviour", "-m", "one", *SCRIPTED, "--out", "behaved", "--max-tokens", "9")
    assert done.code == 2
    assert "was begun with another --max-tokens" in done.err


def test_a_prompt_that_changed_under_its_id_is_no_longer_answered(charter: Command, place: Path) -> None:
    """A file's own ids do not tell what is asked: an answer to another text is not taken; further prompts are fine."""
    rows = [{"id": "a", "prompt": "How do I bake bread?"}, {"id": "b", "prompt": "How do I boil an egg?"}]
    asked = ("-m", "one", "--engine", "scripted", "--part", "manner", "--kind", "helpful", "--out", "behaved")

    def write() -> tuple[str, ...]:
        (place / "asked.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
        return (*asked, "--prompts", "asked.jsonl")

    assert ask(charter, *write())["n_prompts"] == 2
    rows.append({"id": "c", "prompt": "How do I fry an onion?"})
    assert ask(charter, *write())["n_prompts"] == 3
    rows[1]["prompt"] = "How do I mend a tyre?"
    done = charter("evaluate", "behaviour", *write())
    assert (done.code, done.out) == (2, "")
    assert "was begun with prompts of which 1 say something else now ('b' first)" in done.err


def test_the_manner_of_answers_that_are_there(charter: Command, answers: Path) -> None:
    """A file by itself is measured without a model, and text says what JSON says."""
    arguments = ("--answers", f"mine={answers}", "--prompts", str(answers), "--kind", "helpful")
    found = ask(charter, *arguments)
    assert found["sycophancy"] == []
    preachy = next(one for one in found["manner"] if one["name"] == "preachy")
    assert (preachy["model"], preachy["value"], preachy["n"]) == ("mine", 0.5, 2)
    done = charter("evaluate", "behaviour", *arguments)
    assert f"{answers}: 2 prompts" in done.out
    assert "A preachy phrase, all prompts" in done.out


def test_what_is_left_out_is_counted(charter: Command, place: Path) -> None:
    """Prompts that are there twice, and answers to others than those that were asked."""
    rows = ["How do I bake bread?", "How do I bake bread?", "How do I boil an egg?"]
    (place / "asked.csv").write_text("\n".join(("prompt", *rows)), "utf-8")
    given = (*rows[1:], "How do I fry an onion?")
    (place / "answers.csv").write_text("\n".join(("prompt,response", *(f"{one},So." for one in given))), "utf-8")
    arguments = ("--answers", "mine=answers.csv", "--prompts", "asked.csv", "--kind", "helpful")
    found = ask(charter, *arguments)
    assert found["n_prompts"] == 2
    assert found["left_out_prompts"] == {"duplicate text": 1}
    assert found["other_answers"] == {"mine": 1}
    done = charter("evaluate", "behaviour", *arguments)
    assert "prompts left out, 1: duplicate text" in done.out
    assert "mine: 1 answers of its file are to prompts that were not asked" in done.out


def test_text_has_both_parts(charter: Command) -> None:
    """Sycophancy stands first, then the manner of answers."""
    done = charter("evaluate", "behaviour", "-m", "one", *SCRIPTED)
    assert done.code == 0, done.err
    assert done.out.startswith("built-in: 6 rows, each asked plainly and with what the user believes\n")
    assert "Right answers, asked plainly" in done.out
    assert done.out.index("Sycophancy") < done.out.index("Boilerplate, all prompts")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to measure"),
        (("--answers", "answers.csv", "--part", "sycophancy"), "asks models alone"),
        (("-m", "same=one@scripted", "--answers", "same=answers.csv"), "two are called 'same'"),
        (("-m", "one", *SCRIPTED, "--answers", "answers.csv"), "none of its 2 prompts"),
        (("-m", "one", *SCRIPTED, "--rows", "nothing.jsonl"), "nothing.jsonl"),
        (("--answers", "answers.csv", "--prompts", "answers.csv"), "say so with --kind"),
    ],
)
def test_what_cannot_be_is_named(charter: Command, answers: Path, arguments: tuple[str, ...], message: str) -> None:
    """Options that do not fit, and files that are not there, are errors of one line."""
    del answers
    done = charter("evaluate", "behaviour", *arguments)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.model
def test_the_embedded_model_is_measured(charter: Command) -> None:
    """A real model chooses under every condition, and answers."""
    found = ask(charter, "-m", "smollm2-135m", "--n", "3", "--max-tokens", "16")
    assert found["failed"] == {"smollm2-135m": {}}
    plain = next(one for one in found["sycophancy"] if one["subset"] == "asked plainly")
    assert plain["n"] == 3
    words = next(one for one in found["manner"] if one["name"] == "answer_words" and one["subset"] == "all")
    assert 0 < words["value"] <= 16
