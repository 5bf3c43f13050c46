from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.engines.base import Choice, ChoiceRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import PromptError
from charter.evaluation.multiple_choice import (
    ChoiceAnswer,
    ChoiceRow,
    answer,
    answer_one,
    leave_out_seen,
    load_choices,
    measure_accuracy,
)
from charter.rows import map_rows
from charter.statistics import paired_rate_difference, rate_interval, wilson_interval
from method_examples import run

Load = Callable[..., list[ChoiceRow]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write rows as JSON lines and load them as questions."""

    def loaded(*rows: Any) -> list[ChoiceRow]:
        (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return load_choices(str(tmp_path / "x.jsonl"))

    return loaded


class Liking(ScriptedEngine):
    """Gives each letter the log-probability that it is told."""

    def __init__(self, **logprobs: float) -> None:
        super().__init__()
        self.logprobs = logprobs
        self.asked: list[ChoiceRequest] = []

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Give them, in the order asked."""
        self.asked.append(request)
        return Choice(logprobs=tuple(self.logprobs[one] for one in request.options), mass=0.9, n_prompt_tokens=1)


ROW = {"prompt": "Two {and} two?\n\nOptions:\n(A) 4\n(B) 5\n\nAnswer:", "corrects": [" (A)"], "incorrects": [" (B)"]}


def test_questions_end_where_the_letter_begins(load: Load) -> None:
    """A question goes on with an opening bracket, after which each letter is one token."""
    row = load(ROW)[0]
    assert row.text == f"{ROW['prompt']} ("
    assert (row.corrects, row.incorrects) == (("A",), ("B",))
    assert load({**ROW, "prompt": "Answer: \n"})[0].text == "Answer: ("


def test_questions_are_the_same_from_wherever_their_file_is_named(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that goes on from another folder finds the rows that it recorded."""
    named_in_full = [row.id for row in load(ROW, {**ROW, "prompt": "Another?"})]
    monkeypatch.chdir(tmp_path)
    assert [row.id for row in load_choices("x.jsonl")] == named_in_full
    assert len(set(named_in_full)) == 2


@pytest.mark.parametrize("option", ["A", "(A)", " (A)", "(A", " A) "])
def test_letters_are_read_in_every_form(load: Load, option: str) -> None:
    """Brackets and spaces around a letter do not matter."""
    assert load({**ROW, "corrects": [option]})[0].corrects == ("A",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": None}, "'prompt' is NoneType; expected a text"),
        ({"corrects": []}, "at least one option must be right and one wrong"),
        ({"incorrects": []}, "at least one option must be right and one wrong"),
        ({"corrects": " (A)"}, "'corrects' is ' (A)'; expected a list of letters such as [' (A)']"),
        ({"incorrects": None}, "'incorrects' is None; expected a list of letters"),
        ({"corrects": ["yes"]}, "the option 'yes' is not a letter such as ' (A)'"),
        ({"corrects": ["(1)"]}, "the option '(1)' is not a letter"),
        ({"corrects": [""]}, "the option '' is not a letter"),
        ({"incorrects": ["(A)"]}, "a letter occurs twice in A, A; each option has its own"),
        ({"incorrects": ["B", "C", "(B)"]}, "a letter occurs twice in A, B, C, B"),
    ],
)
def test_a_wrong_row_names_its_line(load: Load, change: dict[str, Any], message: str) -> None:
    """What is wrong with a question is told with its line."""
    with pytest.raises(PromptError) as caught:
        load(ROW, {**ROW, **change})
    assert str(caught.value).partition("x.jsonl")[2].startswith(f":2: {message}")


@pytest.mark.parametrize("name", ["prompt", "corrects", "incorrects"])
def test_a_missing_key_names_its_line(load: Load, name: str) -> None:
    """A row that lacks one of its three keys says which."""
    row = {key: value for key, value in ROW.items() if key != name}
    with pytest.raises(PromptError, match=rf":1: '{name}' is missing; a row is \{{prompt, corrects, incorrects\}}"):
        load(row)


def test_rows_have_ids_of_their_own(load: Load) -> None:
    """The same question on two lines is two rows."""
    assert len({row.id for row in load(ROW, ROW)}) == 2


@pytest.mark.parametrize(("logprobs", "correct"), [((-1.0, -2.0), True), ((-2.0, -1.0), False)])
def test_the_likeliest_letter_is_the_answer(load: Load, logprobs: tuple[float, float], correct: bool) -> None:
    """An answer is right where the likeliest letter is; the log-probabilities are kept."""
    engine = Liking(A=logprobs[0], B=logprobs[1])
    found = run(answer_one(load(ROW)[0], engine))
    assert found.correct is correct
    assert (found.options, found.logprobs, found.mass) == (("A", "B"), logprobs, 0.9)
    assert engine.asked[0].text == f"{ROW['prompt']} ("


def test_any_right_letter_will_do(load: Load) -> None:
    """Where several letters are right, the likeliest need be one of them."""
    row = load({**ROW, "corrects": ["(B)", "(D)"], "incorrects": ["(A)", "(C)"]})[0]
    assert run(answer_one(row, Liking(A=-2.0, B=-9.0, C=-3.0, D=-1.0))).correct
    assert not run(answer_one(row, Liking(A=-2.0, B=-3.0, C=-1.0, D=-4.0))).correct


@given(correct=st.sets(st.sampled_from(string.ascii_uppercase[:6]), min_size=1, max_size=5))
def test_no_preference_is_no_knowledge(correct: set[str]) -> None:
    """A model that finds all letters alike is right only where the first of the alphabet is."""
    wrong = set(string.ascii_uppercase[:6]) - correct
    row = ChoiceRow("c", "?", tuple(sorted(correct, reverse=True)), tuple(sorted(wrong)))
    engine = Liking(**dict.fromkeys(string.ascii_uppercase[:6], -2.0))
    assert run(answer_one(row, engine)).correct is ("A" in correct)
    assert engine.asked[0].options == tuple("ABCDEF")


def test_accuracy_is_measured_per_model(load: Load) -> None:
    """Each model's share of right answers, and the paired difference from the base."""
    rows = load(*({**ROW, "prompt": f"question {n}"} for n in range(10)))
    engines = {"base": Liking(A=-2.0, B=-1.0), "sft": Liking(A=-1.0, B=-2.0)}
    answers = {
        model: answer(rows, model, engine, file="data/x.jsonl", mapper=map_rows).done
        for model, engine in engines.items()
    }
    found = measure_accuracy("data/x.jsonl", rows, answers, base="base")
    assert [(one.model, one.value, one.n) for one in found] == [("base", 0.0, 10), ("sft", 1.0, 10)]
    assert found[1].difference == 1.0
    assert found[0].name == "multiple_choice:x.jsonl"


OPTIONS = ("\n\nOptions:\n(A) 4\n(B) 5\n\nAnswer:", "\n\nOptions:\n (A) 9\n (B) 5\n\nAnswer:", "\nA. 4\nB. 5\nAnswer:")


@pytest.mark.parametrize(
    ("prompts", "n"),
    [
        ([f"Two and two?{options}" for options in OPTIONS[:2]], 1),
        ([f"{text}{OPTIONS[0]}" for text in ("Two and two?", "two  and two", "Two and three?")], 2),
        ([f"{text}{OPTIONS[2]}" for text in ("Which is (A) good?", "Which is (A) best?")], 2),
        (["Say A or B: 4 or 5", "Say A or B: 4 or 6"], 2),
        (["(A) 4\n(B) 5\nWhich?", "(A) 4\n(B) 6\nWhich?"], 2),
    ],
)
def test_the_context_is_what_stands_before_the_options(load: Load, prompts: list[str], n: int) -> None:
    """Questions that differ in their options alone, or in the writing of what precedes them, share a context."""
    assert len({row.context for row in load(*({**ROW, "prompt": prompt} for prompt in prompts))}) == n


def test_a_row_may_name_its_context(load: Load) -> None:
    """A context that the file gives is taken as it is."""
    rows = load({**ROW, "context": "one"}, {**ROW, "prompt": "Other?", "context": "one"}, ROW)
    assert [row.context for row in rows[:2]] == ["one", "one"]
    assert rows[2].context != "one"


def _answers(rows: list[ChoiceRow], right: list[bool]) -> list[ChoiceAnswer]:
    return [
        ChoiceAnswer(id=row.id, options=("A", "B"), logprobs=(-1.0, -2.0), mass=0.9, correct=one)
        for row, one in zip(rows, right, strict=True)
    ]


def test_questions_of_one_context_are_one_observation(load: Load) -> None:
    """Twelve questions of three contexts are bounded as three groups, in the rate and in the difference."""
    rows = load(*({**ROW, "prompt": f"context {n % 3}?\n(A) {n}\n(B) x\nAnswer:"} for n in range(12)))
    right = [n % 3 == 0 for n in range(12)]
    wrong = [False] * 12
    found = measure_accuracy("x", rows, {"base": _answers(rows, wrong), "sft": _answers(rows, right)}, base="base")[1]
    groups = [n % 3 for n in range(12)]
    clustered, paired = rate_interval(right, groups=groups), paired_rate_difference(wrong, right, groups=groups)
    assert (found.value, found.low, found.high, found.n) == (1 / 3, clustered.low, clustered.high, 12)
    assert (found.difference_low, found.difference_high, found.p_value) == (paired.low, paired.high, paired.p_value)
    alone = wilson_interval(4, 12)
    assert found.high - found.low > alone.high - alone.low


def test_one_context_for_all_is_an_instruction(load: Load) -> None:
    """Where only the options differ from row to row, the rows are independent: one group would have no width."""
    rows = load(*({**ROW, "prompt": f"Which is better?\n(A) {n}\n(B) x\nAnswer:"} for n in range(12)))
    found = measure_accuracy("x", rows, {"base": _answers(rows, [n < 4 for n in range(12)])}, base="base")[0]
    alone = wilson_interval(4, 12)
    assert (found.low, found.high) == (alone.low, alone.high)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "two  AND two\n(A) 4\n(B) 5\nAnswer:"},
        {"prompt": "Two and two?", "context": "sums"},
        {"prompt": "Which?\n(A) 4\n(B) 5\nAnswer:", "context": "Two and two!"},
    ],
)
def test_a_question_that_was_seen_is_left_out(load: Load, row: dict[str, str]) -> None:
    """A question whose text or context is that of a training prompt, in whatever dress, is left out and counted."""
    other = {**ROW, "prompt": "Two and three?\n(A) 4\n(B) 5\nAnswer:"}
    rows = load({**ROW, **row}, other)
    kept, left_out = leave_out_seen(rows, {"a few-shot example": ["Three?"], "a training prompt": ["Two and two?"]})
    assert kept == rows[1:]
    assert left_out == {"shares its context with a training prompt": 1}
    assert leave_out_seen(rows, {}) == (rows, {})


def test_a_question_nearly_as_seen_is_left_out_on_request(load: Load) -> None:
    """With a threshold a context that differs by a word is left out too, once, with the nearest place."""
    asked = "Which of the two towns by the river is older?"
    rows = load({**ROW, "prompt": f"{asked}\n(A) 4\n(B) 5\nAnswer:"}, {**ROW, "prompt": "Who?\n(A) 4\n(B) 5\nAnswer:"})
    seen = {
        "a few-shot example": ["Which of the two villages by the river is older?"],
        "a training prompt": ["Which of the two towns by the river is old?"],
    }
    assert leave_out_seen(rows, seen) == (rows, {})
    assert leave_out_seen(rows, seen, 0.6) == (rows[1:], {"shares its context with a training prompt": 1})
