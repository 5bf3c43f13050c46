"""``charter evaluate retention``: what it prints and writes, that it goes on, and what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from charter.engines.base import ScoreRequest
from charter.engines.scripted import ScriptedEngine
from cli.command import Command

SCRIPTED = "--engine", "scripted"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ScoreRequest]:
    """What scripted engines were asked to score."""
    made: list[ScoreRequest] = []
    score = ScriptedEngine.score

    async def counted(self: ScriptedEngine, request: ScoreRequest) -> Any:
        made.append(request)
        return await score(self, request)

    monkeypatch.setattr(ScriptedEngine, "score", counted)
    return made


def retain(charter: Command, *arguments: object) -> dict[str, Any]:
    """Run the command with --json."""
    done = charter("evaluate", "retention", *map(str, arguments), "--json")
    assert done.code == 0, done.err
    value: dict[str, Any] = done.value
    return value


def test_two_models_are_compared(charter: Command, place: Path, asked: list[ScoreRequest]) -> None:
    """Loss and perplexity per token and byte of both, paired; more prompts ask what is new alone."""
    found = retain(charter, "-m", "base=a", "-m", "b", *SCRIPTED, "--n", 12, "--out", "kept")
    assert len(asked) == 24
    assert {(one["name"], one["model"], one["n"]) for one in found["measurements"]} == {
        (name, model, 12) for name in ("reference_loss", "reference_loss_per_byte") for model in ("base", "b")
    }
    losses = {one["model"]: one for one in found["measurements"] if one["name"] == "reference_loss"}
    rows = [json.loads(line) for line in (place / "kept/scores.jsonl").read_text("utf-8").splitlines()]
    own = [-row["logprob"] / row["n_tokens"] for row in rows if row["model"] == "b"]
    assert losses["b"]["value"] == pytest.approx(sum(own) / 12)
    assert losses["b"]["difference"] == pytest.approx(losses["b"]["value"] - losses["base"]["value"])
    perplexity = next(one for one in found["perplexities"] if (one["model"], one["per"]) == ("b", "token"))
    assert perplexity["value"] == pytest.approx(math.exp(losses["b"]["value"]))
    assert found == json.loads((place / "kept/retention.json").read_text("utf-8"))
    retain(charter, "-m", "base=a", "-m", "b", *SCRIPTED, "--n", 20, "--out", "kept")
    assert len(asked) == 40


def test_the_whole_as_text(charter: Command, place: Path) -> None:
    """A line a figure and model, then the perplexities, of a file's own columns."""
    rows = [{"q": f"{number}?", "a": f"{number}."} for number in range(6)]
    (place / "x.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    columns = "--prompt-column", "q", "--response-column", "a"
    done = charter("evaluate", "retention", "x.jsonl", *columns, "-m", "a", "-m", "b", *SCRIPTED)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "x.jsonl: 6 prompts with reference answers"
    assert sum(line.startswith("Loss on reference answers, per byte") for line in lines) == 2
    assert sum(line.startswith("per token") for line in lines) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-m", "answers.csv"), "is a file of answers; expected a model"),
        (("-m", "a", "-m", "a", *SCRIPTED), "two models are called 'a'"),
        (("nowhere.jsonl", "-m", "a", *SCRIPTED), "nowhere.jsonl"),
    ],
)
def test_what_cannot_be_measured_is_explained(charter: Command, arguments: tuple[str, ...], message: str) -> None:
    """Files of answers, two of one name, and files that are not there."""
    done = charter("evaluate", "retention", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_a_model_that_scores_nothing_is_refused(charter: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that tells no probabilities of given answers cannot be measured so."""
    monkeypatch.setattr(ScriptedEngine, "capabilities", frozenset({"complete"}))
    done = charter("evaluate", "retention", "-m", "a", *SCRIPTED, "--n", "5")
    assert (done.code, done.out) == (2, "")
    assert "tells no probabilities of given answers" in done.err


@pytest.mark.model
def test_a_real_model_is_measured(charter: Command, tiny_model: Path) -> None:
    """Tiny random weights find every text unlikely, per token nearly as unlikely as chance does."""
    found = retain(charter, "-m", f"tiny={tiny_model}", "--n", 5)
    token = next(one for one in found["perplexities"] if one["per"] == "token")
    assert (token["model"], token["n"]) == ("tiny", 5)
    assert token["value"] > 100
