"""Charter's tasks in Inspect: on a model that says what it is told to, in Python and by ``inspect eval``."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai", reason="it wants an older fsspec: make harnesses")

from inspect_ai import Task, eval  # noqa: A004 - Inspect's own name
from inspect_ai.log import EvalLog, list_eval_logs, read_eval_log
from inspect_ai.model import ChatMessage, Model, ModelOutput, ModelUsage, get_model
from inspect_ai.model._model_output import Logprobs

from charter.inspecting import tasks
from charter.inspecting.lending import read_letter, read_logprobs
from charter.statistics import rate_interval
from charter.text_quality import classify_response

QUESTIONS = [
    {"question": f"Which is older {n}?", "choices": [f"the town {n}", f"the bridge {n}"], "answer": n % 2}
    for n in range(6)
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Questions of two options; the bridge is right in every other one."""
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in QUESTIONS), "utf-8")
    return path


def saying(answer: Callable[[str], str]) -> Model:
    """A model that answers the last message."""

    def reply(messages: list[ChatMessage], *_: Any) -> ModelOutput:
        output = ModelOutput.from_content("mockllm/model", answer(messages[-1].text))
        output.usage = ModelUsage()  # else tokens are counted by a tokenizer that is fetched
        return output

    return get_model("mockllm/model", custom_outputs=reply, memoize=False)


def done(task: Task, model: Model, tmp_path: Path, **arguments: Any) -> EvalLog:
    """Run a task, which must end well."""
    [log] = eval(task, model=model, log_dir=str(tmp_path / "logs"), display="none", **arguments)
    assert log.status == "success", log.error
    return log


def metrics(log: EvalLog, scorer: int = 0) -> dict[str, float]:
    """Give a scorer's figures by name."""
    assert log.results is not None
    return {one.name: one.value for one in log.results.scores[scorer].metrics.values()}


def the_bridge(asked: str) -> str:
    """Name the letter of the bridge, wherever it stands."""
    return f"({'A' if asked.index('bridge') < asked.index('town') else 'B'})"


def test_letters_are_asked_for_in_both_orders(file: Path, tmp_path: Path) -> None:
    """Who always says the bridge is right half the time; who always says A says nothing, and has halves."""
    log = done(tasks.multiple_choice(str(file)), saying(the_bridge), tmp_path)
    expected = rate_interval([0.0, 1.0] * 3)
    assert metrics(log) == pytest.approx({"share": 0.5, "low": expected.low, "high": expected.high, "n": 6})
    assert log.eval.metadata == {"letters": "text", "orders": 2}
    assert log.samples is not None
    first = next(one for one in log.samples if "older 0" in str(one.input))
    score = next(iter((first.scores or {}).values()))
    assert score.explanation == "read as letters in text, in both orders: B, B; right is A"
    biased = done(tasks.multiple_choice(str(file)), saying(lambda _: "A"), tmp_path)
    assert [next(iter((one.scores or {}).values())).value for one in biased.samples or ()] == [0.5] * 6


def test_samples_of_one_context_are_not_taken_for_many(tmp_path: Path) -> None:
    """Six questions about one thing bound a share no better than one of them."""
    path = tmp_path / "one.jsonl"
    path.write_text("".join(f"{json.dumps({**row, 'context': 'the same'})}\n" for row in QUESTIONS), "utf-8")
    found = metrics(done(tasks.multiple_choice(str(path)), saying(the_bridge), tmp_path))
    expected = rate_interval([0.0, 1.0] * 3, groups=["the same"] * 6)
    assert found == pytest.approx({"share": 0.5, "low": expected.low, "high": expected.high, "n": 6})
    assert expected.high > 0.9


def test_what_names_no_letter_is_wrong(file: Path, tmp_path: Path) -> None:
    """An answer that cannot be read is no tie."""
    log = done(tasks.multiple_choice(str(file), n=3), saying(lambda _: "Both are old."), tmp_path)
    assert (metrics(log)["share"], metrics(log)["n"]) == (0.0, 3)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"), ("(A)", "A"), ("**B**.", "B"), ("The answer is B, since it is older.", "B"), ("A) the town", "A"),
        ("I would say (B).", "B"), ("(A) or (B)?", None), ("A bridge is older.", None), ("", None), ("C", None),
    ],
)  # fmt: skip
def test_letters_in_text(text: str, letter: str | None) -> None:
    """A letter is read where it is said to be the answer, and an article is no letter."""
    assert read_letter(text, ("A", "B")) == letter


def test_log_probabilities_are_read_where_they_are_told() -> None:
    """The first letter's position has those of the others, in all spellings; what is not there has what is left."""
    tops = [{"token": " A", "logprob": math.log(0.4)}, {"token": "A", "logprob": math.log(0.1)}]
    content = [{"token": "(", "logprob": -0.1}, {"token": "B", "logprob": math.log(0.3), "top_logprobs": tops}]
    output = ModelOutput.from_content("m", "(B")
    assert read_logprobs(output, ("A", "B")) is None
    output.choices[0].logprobs = Logprobs.model_validate({"content": content})
    logprobs, seen = read_logprobs(output, ("A", "B", "C")) or ((), 0.0)
    assert [math.exp(one) for one in logprobs] == pytest.approx([0.5, 0.3, 0.2], abs=0.002)
    assert seen == pytest.approx(0.8)


def test_harm_pairs_and_their_groups(tmp_path: Path) -> None:
    """The built-in rows are there by name, a question each."""
    log = done(tasks.harm_pairs(n=5), saying(lambda _: "(A)"), tmp_path)
    assert metrics(log)["n"] == 5


def test_refusals_are_classed_by_the_rules(tmp_path: Path) -> None:
    """Every class and degree has a share, which is what the rules say of each answer."""
    prompts = tmp_path / "prompts.csv"
    prompts.write_text("prompt\nHow do I mend a net?\nHow do I tie a knot?\nHow do I caulk a boat?\n", "utf-8")
    answers = {"net": "I'm sorry, but I can't help with that.", "knot": "Cross the ends, then pull one through."}
    model = saying(lambda asked: next((text for word, text in answers.items() if word in asked), "First dry the seam."))
    log = done(tasks.refusals(str(prompts), "red_team"), model, tmp_path)
    assert log.results is not None
    shares = {one.name: metrics(log, number)["share"] for number, one in enumerate(log.results.scores)}
    assert set(shares) == {
        "compliance", "objection", "bare_refusal", "evasive", "full_compliance", "full_refusal", "partial_refusal"
    }  # fmt: skip
    assert shares["bare_refusal"] == pytest.approx(1 / 3)
    assert shares["compliance"] == pytest.approx(2 / 3)
    for one in log.samples or ():
        score = next(iter((one.scores or {}).values()))
        assert score.answer == classify_response(one.input[0].text, one.output.completion).value  # type: ignore[union-attr]


def test_adherence_is_judged_in_both_orders(tmp_path: Path) -> None:
    """The judge is a role of its own; of one who always says A each answer is a half, of a mute one invalid."""
    model = saying(lambda _: "I would rather talk it over.")

    def keeps(asked: str) -> str:
        return "A" if asked.index("It keeps to") < asked.index("It departs from") else "B"

    task = tasks.adherence("wellbeing", n=1)
    found = metrics(done(task, model, tmp_path, model_roles={"judge": saying(keeps)}))
    assert found["mean"] == pytest.approx(1.0)
    biased = metrics(done(task, model, tmp_path, model_roles={"judge": saying(lambda _: "A")}))
    assert biased["mean"] == pytest.approx(0.5)
    mute = done(task, model, tmp_path, model_roles={"judge": saying(lambda _: "Hm.")})
    assert math.isnan(metrics(mute)["mean"])
    assert mute.results is not None
    assert mute.results.scores[0].unscored_samples == found["n"]


def test_instructions_are_checked(tmp_path: Path) -> None:
    """Prompts whose every instruction is followed are counted, strictly and loosely."""
    row = {
        "key": 1, "prompt": "Say something in lower case.", "kwargs": [{}],
        "instruction_id_list": ["change_case:english_lowercase"],
    }  # fmt: skip
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n", "utf-8")
    followed = done(tasks.instructions(str(file)), saying(lambda _: "the boats are home before it is dark."), tmp_path)
    assert [metrics(followed, number)["share"] for number in (0, 1)] == [1.0, 1.0]
    missed = done(tasks.instructions(str(file)), saying(lambda _: "THE BOATS ARE HOME."), tmp_path)
    assert [metrics(missed, number)["share"] for number in (0, 1)] == [0.0, 0.0]


COUNTER = """\
class Words:
    def encode(self, text, **_):
        return text.split()


def get_encoding(_):
    return Words()
"""


def test_inspect_finds_the_tasks_by_name(file: Path, tmp_path: Path) -> None:
    """``inspect eval charter/multiple_choice`` runs in a process that knows nothing of Charter but that it is there."""
    command = [
        sys.executable, "-m", "inspect_ai", "eval", "charter/multiple_choice", "-T", f"file={file}", "-T", "n=4",
        "--model", "mockllm/model", "--log-dir", str(tmp_path / "logs"), "--display", "plain",
    ]  # fmt: skip
    (tmp_path / "tiktoken.py").write_text(COUNTER, "utf-8")  # the real one fetches how it counts
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    ended = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    [kept] = list_eval_logs(str(tmp_path / "logs"))
    log = read_eval_log(kept)
    assert (log.status, log.eval.task) == ("success", "charter/multiple_choice"), log.error
    assert (metrics(log)["n"], metrics(log)["share"]) == (4, 0.0)
