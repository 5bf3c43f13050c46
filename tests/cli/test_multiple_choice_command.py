"""``charter evaluate multiple-choice``: what it prints and writes, that it goes on, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from charter.training.adapters import LoraSettings
from charter.training.pace import Pace
from charter.training.preference_model import preference_model
from cli.command import Command
from training.training_rows import preferences

N = 8


@pytest.fixture
def choices(place: Path) -> Path:
    """Questions of four contexts, two each, with the right letters in turn."""
    file = place / "choices.jsonl"
    rows = [
        {
            "prompt": f"Which is older {n // 2}?\n\nOptions:\n(A) the town {n}\n(B) the old bridge {n}\n\nAnswer:",
            "corrects": [" (AB)"[:2] + "AB"[n % 2] + ")"],
            "incorrects": [" (AB)"[:2] + "BA"[n % 2] + ")"],
        }
        for n in range(N)
    ]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return file


def ask(charter: Command, *arguments: object) -> list[dict[str, object]]:
    """Run the command with --json, and read an object a line."""
    done = charter("evaluate", "multiple-choice", *arguments, "--json")
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def test_an_object_a_file(charter: Command, choices: Path) -> None:
    """Each file's figures are one line of JSON, bounded by contexts."""
    (choices.parent / "more.jsonl").write_text(choices.read_text("utf-8").splitlines()[0], "utf-8")
    first, second = ask(charter, choices, "more.jsonl", "--model", "demo", "--engine", "scripted")
    assert (first["file"], first["n"], first["n_contexts"]) == (str(choices), N, 4)
    low, high = first["interval"]  # type: ignore[misc]
    assert 0.0 <= low < first["accuracy"] < high <= 1.0  # type: ignore[has-type]
    assert first["baselines"] == {
        "chance": 0.5, "first option": 0.5, "last option": 0.5, "longest option": 0.5, "shortest option": 0.5,
    }  # fmt: skip
    assert {
        "interval",
        "ece",
        "mode",
        "model",
        "n_both_orders",
        "same_place",
        "same_place_interval",
        "ece_by_chance",
        "left_out",
        "failed",
    } <= first.keys()
    assert (second["file"], second["n"]) == ("more.jsonl", 1)


def test_the_figures_as_text(charter: Command, choices: Path) -> None:
    """Text says the same in lines."""
    done = charter(
        "evaluate",
        "multiple-choice",
        choices,
        "-m",
        "demo",
        "--engine",
        "scripted",
        "--mode",
        "few-shot",
        "--few-shots",
        1,
    )
    assert done.code == 0, done.err
    assert f"{choices}: 6 questions in 3 contexts, few-shot, demo" in done.out
    assert "  right               " in done.out
    assert "without reading, longest option  50.0 %" in done.out
    assert "left out, 2: shares its context with a worked example" in done.out


def test_answers_are_kept_and_gone_on_from(charter: Command, choices: Path, place: Path) -> None:
    """With --out every answer is a line; more questions in the same folder ask the further ones alone."""
    given = choices, "-m", "demo", "--engine", "scripted", "--out", "answers"
    assert ask(charter, *given, "--n", 3)[0]["n"] == 3
    assert ask(charter, *given)[0]["n"] == N
    lines = [json.loads(line) for line in (place / "answers/answers.jsonl").read_text("utf-8").splitlines()]
    assert len({one["id"] for one in lines}) == N
    assert lines[0]["question"].startswith("Which is older 0?")
    assert (lines[0]["right"], lines[0]["options"], lines[0]["file"]) == (["A"], ["A", "B"], str(choices))
    figures = json.loads((place / "answers/multiple-choice.json").read_text("utf-8"))[0]
    assert figures["accuracy"] == sum(one["correct"] for one in lines) / N
    done = charter("evaluate", "multiple-choice", *given, "--mode", "chain")
    assert done.code == 2
    assert "was begun with another --chains" in done.err


def test_a_key_that_was_mended_is_not_recalled(charter: Command, choices: Path) -> None:
    """Answers are kept with whether they are right: by another key they are not gone on from."""
    given = choices, "-m", "demo", "--engine", "scripted", "--out", "answers"
    ask(charter, *given)
    first, *others = choices.read_text("utf-8").splitlines()
    row = json.loads(first)
    row |= {"corrects": row["incorrects"], "incorrects": row["corrects"]}
    choices.write_text("\n".join((json.dumps(row), *others)), "utf-8")
    done = charter("evaluate", "multiple-choice", *given)
    assert done.code == 2
    assert "was begun with rows of which 1 say something else now" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.jsonl", "-m", "demo"), "nothing.jsonl: no such file"),
        (("harm-kind", "-m", "demo"), "or a built-in set: harm-pairs, harm-identification, harm-kinds"),
        (("choices.jsonl", "-m", "demo", "--few-shots", 1, "--few-shots-from", "harm"), "or a built-in set"),
        (("bad.jsonl", "-m", "demo"), "bad.jsonl:1: 'corrects' is missing"),
        (("choices.jsonl", "-m", "demo", "--mode", "rewards"), "demo"),
        (("choices.jsonl", "-m", "demo", "--few-shots", 9), "9 worked examples of different contexts are wanted"),
        (("choices.jsonl", "-m", "demo", "--few-shots", 2, "--mode", "text"), "--mode text shows no worked examples"),
        (("choices.jsonl", "-m", "demo", "--engine", "nonsense"), "--engine is 'nonsense'"),
    ],
)
def test_what_cannot_be_asked_is_named(
    charter: Command, choices: Path, arguments: tuple[object, ...], message: str
) -> None:
    """A file, a model or a number that cannot be is an error of one line."""
    (choices.parent / "bad.jsonl").write_text('{"prompt": "?"}\n', "utf-8")
    done = charter("evaluate", "multiple-choice", *arguments)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_misspelt_measurement_is_suggested(charter: Command) -> None:
    """What is neither a recipe nor a measurement, and near to one, is taken for that."""
    done = charter("evaluate", "multiple-choise", "x.jsonl")
    assert done.code == 2
    assert "Did you mean 'multiple-choice'?" in done.err


@pytest.mark.model
@pytest.mark.parametrize("mode", ["letters", "text", "few-shot", "chain"])
def test_every_mode_on_the_embedded_model(charter: Command, choices: Path, mode: str) -> None:
    """A real model answers in every mode, in both orders where letters are read."""
    few = ("--few-shots", 2) if mode == "few-shot" else ()
    found = ask(charter, choices, "-m", "smollm2-135m", "--mode", mode, *few, "--max-chain-tokens", 12)[0]
    assert found["n"] == (4 if few else N)
    assert found["failed"] == {}
    assert found["n_both_orders"] == (0 if mode == "text" else found["n"])
    assert 0.0 <= float(str(found["ece"])) <= 1.0


@pytest.mark.model
def test_questions_about_harm_on_the_embedded_model(charter: Command) -> None:
    """Built-in names stand in place of files, and a real model answers them in both orders."""
    found = ask(charter, "harm-pairs", "harm-identification", "harm-kinds", "-m", "smollm2-135m", "--n", 4)
    assert [(one["file"], one["n"], one["n_both_orders"], one["failed"]) for one in found] == [
        ("harm-pairs", 4, 4, {}), ("harm-identification", 4, 4, {}), ("harm-kinds", 4, 4, {}),
    ]  # fmt: skip
    assert ask(charter, "harm-pairs", "-m", "smollm2-135m", "--n", 4, "--mode", "text")[0]["n"] == 4


@pytest.mark.model
def test_a_preference_model_answers_by_rewards(charter: Command, choices: Path, place: Path) -> None:
    """A trained preference model is asked by its own mode, and a model that is none is refused."""
    rows = preferences(4)
    preference_model(
        rows, "smollm2-135m", out=place / "pm", seed=0, pace=Pace(batch_size=4), lora=LoraSettings(r=2, alpha=4)
    )
    found = ask(charter, choices, "-m", place / "pm", "--mode", "rewards")[0]
    assert (found["n"], found["mode"], found["failed"]) == (N, "rewards", {})
    assert torch.empty(0).device.type == "cpu"  # models that are loaded side by side leave another one behind
    done = charter("evaluate", "multiple-choice", choices, "-m", "smollm2-135m", "--mode", "rewards")
    assert done.code == 2
    assert "is no preference model" in done.err
