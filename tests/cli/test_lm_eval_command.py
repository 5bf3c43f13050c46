"""``charter evaluate lm-eval``: what it prints and writes, that it goes on, and what it refuses."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from charter.engines.base import ScoreRequest
from charter.engines.scripted import ScriptedEngine
from cli.command import Command
from evaluation.lm_eval_examples import write_tasks

SCRIPTED = "--engine", "scripted"
with_lm_eval = pytest.mark.skipif(
    find_spec("lm_eval") is None, reason="lm-eval wants an older python-dateutil: make harnesses"
)


@pytest.fixture
def tasks(place: Path) -> Path:
    """A folder with tasks."""
    return write_tasks(place / "tasks")


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


def run(charter: Command, *arguments: object) -> dict[str, Any]:
    """Run the command with --json."""
    done = charter("evaluate", "lm-eval", *map(str, arguments), "--json")
    assert done.code == 0, done.err
    value: dict[str, Any] = json.loads(done.out)
    return value


@pytest.mark.skipif(find_spec("lm_eval") is not None, reason="lm-eval is there")
def test_it_says_what_to_install(charter: Command) -> None:
    """Without lm-eval the command names the extra."""
    done = charter("evaluate", "lm-eval", "arc_easy", "-m", "a", *SCRIPTED)
    assert (done.code, done.out) == (2, "")
    assert "pip install 'charter[lm-eval]'" in done.err


@with_lm_eval
def test_models_are_compared_and_gone_on_from(
    charter: Command, place: Path, tasks: Path, asked: list[ScoreRequest]
) -> None:
    """Two models on one task, paired by document; the same command asks nothing again, a further model itself alone."""
    given = "harbour_choices", "--include", tasks, "-m", "base=a", "-m", "b", *SCRIPTED, "--out", "kept"
    found = run(charter, *given)
    first = len(asked)
    assert first == 2 * 4 * 3  # four different questions of three options
    figures = {(one["name"], one["model"]): one for one in found["measurements"]}
    own = {(f"{one['task']}: {one['metric']}", one["model"]): one for one in found["by_lm_eval"]}
    assert figures.keys() == own.keys()
    for name, one in figures.items():
        assert one["value"] == pytest.approx(own[name]["value"])
        assert (one["n"], one["n_groups"]) == (8, 7)
        assert one["low"] < one["high"]
    assert figures["harbour_choices: acc", "b"]["base"] == "base"
    samples = [json.loads(line) for line in (place / "kept/samples.jsonl").read_text("utf-8").splitlines()]
    assert len(samples) == 16
    assert {one["model"] for one in samples} == {"base", "b"}
    assert json.loads((place / "kept/lm-eval.json").read_text("utf-8")) == found
    assert run(charter, *given)["measurements"] == found["measurements"]
    assert len(asked) == first
    run(charter, *given, "-m", "c")
    assert len(asked) == first + 12


@with_lm_eval
def test_the_whole_as_text(charter: Command, tasks: Path) -> None:
    """A line a metric and model, then what lm-eval says of each."""
    done = charter("evaluate", "lm-eval", "harbour_texts", "--include", tasks, "-m", "a", *SCRIPTED, "--limit", "3")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith("lm-eval ")
    assert lines[0].endswith(": harbour_texts")
    assert sum(line.startswith("harbour_texts: exact_match") for line in lines) == 2


@with_lm_eval
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("harbour_choice", "--include", "tasks"), 'did you mean "harbour_choices"?'),
        (("harbour_choices", "--include", "nowhere"), "--include nowhere: no such folder"),
    ],
)
def test_what_cannot_be_run_is_explained(
    charter: Command, tasks: Path, arguments: tuple[str, ...], message: str
) -> None:
    """Tasks and folders that are not there are errors of one line."""
    del tasks
    done = charter("evaluate", "lm-eval", *arguments, "-m", "a", *SCRIPTED)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err


@with_lm_eval
def test_a_model_that_scores_nothing_is_refused(charter: Command, tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that tells no probabilities of given texts can do tasks that draw texts alone."""
    monkeypatch.setattr(ScriptedEngine, "capabilities", frozenset({"complete"}))
    done = charter("evaluate", "lm-eval", "harbour_choices", "--include", tasks, "-m", "a", *SCRIPTED)
    assert (done.code, done.out) == (2, "")
    assert "cannot be asked to score" in done.err
    assert run(charter, "harbour_texts", "--include", tasks, "-m", "a", *SCRIPTED)["measurements"]


@with_lm_eval
@pytest.mark.model
def test_the_embedded_model_runs_tasks(charter: Command, tasks: Path) -> None:
    """The embedded model does questions, texts and passages."""
    names = "harbour_choices", "harbour_texts", "harbour_passages"
    found = run(charter, *names, "--include", tasks, "-m", "smollm2-135m", "--limit", 3)
    assert {one["subset"]: one["n"] for one in found["measurements"]} == dict.fromkeys(names, 3)
    perplexity = next(one for one in found["measurements"] if one["subset"] == "harbour_passages")
    assert 1 < perplexity["value"] < 1e5
