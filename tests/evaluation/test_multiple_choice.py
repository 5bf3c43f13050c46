from __future__ import annotations

import json
import math
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.engines.base import Choice, ChoiceRequest, Completion, CompletionRequest, Score, ScoreRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import CapabilityError, PromptError
from charter.evaluation.multiple_choice import (
    Asking,
    ChoiceAnswer,
    ChoiceRow,
    OptionReading,
    answer,
    answer_one,
    answer_with_rewards,
    assess,
    choose_questions,
    leave_out_seen,
    load_choices,
    measure_accuracy,
    require_able,
    require_readable,
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


@pytest.mark.parametrize(("logprobs", "correct"), [((-1.0, -2.0), 0.5), ((-2.0, -1.0), 0.5)])
def test_a_liking_for_a_letter_is_no_answer(load: Load, logprobs: tuple[float, float], correct: float) -> None:
    """Options are shown in both orders: who takes a letter whatever stands there is right half of the time."""
    engine = Liking(A=logprobs[0], B=logprobs[1])
    found = run(answer_one(load(ROW)[0], engine))
    assert (found.correct, found.p) == (correct, (0.5, 0.5))
    assert [one.text for one in engine.asked] == [
        f"{ROW['prompt']} (",
        "Two {and} two?\n\nOptions:\n(A) 5\n(B) 4\n\nAnswer: (",
    ]
    assert [one.logits for one in found.readings] == [logprobs, logprobs[::-1]]
    assert [one.place for one in found.readings] == [(0, 1), (1, 0)]


class Knowing(ScriptedEngine):
    """Knows the text of the right option, wherever it stands, and how sure it is of a letter's place."""

    def __init__(self, right: str, bias: float = 0.0) -> None:
        super().__init__()
        self.right, self.bias = right, bias
        self.asked: list[ChoiceRequest] = []

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Find it likelier by one, and the first letter by the bias."""
        self.asked.append(request)
        shown = (request.text or request.messages[-1].content).rpartition("\n\n####\n\n")[2]  # type: ignore[index]
        lines = [shown.partition(f"({letter}) ")[2].partition("\n")[0] for letter in request.options]
        logprobs = [float(line == self.right) for line in lines]
        logprobs[0] += self.bias
        return Choice(logprobs=tuple(logprobs), mass=0.8, n_prompt_tokens=1)


@given(bias=st.floats(-5, 5))
def test_whoever_knows_is_right_with_any_bias(bias: float) -> None:
    """The mean over both orders has no part of a letter's bias in which option is likelier."""
    row = _row("Two?", ["4", "5"], 0)
    found = run(answer_one(row, Knowing("4", bias)))
    assert found.correct == 1.0
    assert found.p[0] > 0.5
    assert run(answer_one(row, Knowing("5", bias))).correct == 0.0


def _row(question: str, options: list[str], right: int) -> ChoiceRow:
    text, slots = f"{question}\n\nOptions:", []
    for letter, option in zip(string.ascii_uppercase, options, strict=False):
        text += f"\n({letter}) "
        slots.append((len(text), len(text) + len(option)))
        text += option
    letters = string.ascii_uppercase[: len(options)]
    wrong = tuple(letter for letter in letters if letter != letters[right])
    return ChoiceRow(question, f"{text}\n\nAnswer: (", (letters[right],), wrong, question, tuple(slots))


def test_any_right_letter_will_do(load: Load) -> None:
    """Where several letters are right, the likeliest need be one of them."""
    row = load({**ROW, "corrects": ["(B)", "(D)"], "incorrects": ["(A)", "(C)"]})[0]
    assert run(answer_one(row, Liking(A=-2.0, B=-9.0, C=-3.0, D=-1.0))).correct
    assert not run(answer_one(row, Liking(A=-2.0, B=-3.0, C=-1.0, D=-4.0))).correct


@given(correct=st.sets(st.sampled_from(string.ascii_uppercase[:6]), min_size=1, max_size=5))
def test_no_preference_is_no_knowledge(correct: set[str]) -> None:
    """A model that finds all letters alike is half right where half of them are, and never wholly."""
    wrong = set(string.ascii_uppercase[:6]) - correct
    row = ChoiceRow("c", "?", tuple(sorted(correct, reverse=True)), tuple(sorted(wrong)))
    engine = Liking(**dict.fromkeys(string.ascii_uppercase[:6], -2.0))
    assert run(answer_one(row, engine)).correct == (0.5 if len(correct) >= 3 else 0.0)
    assert engine.asked[0].options == tuple("ABCDEF")


def test_accuracy_is_measured_per_model(load: Load) -> None:
    """Each model's share of right answers, and the paired difference from the base."""
    rows = load(*({**ROW, "prompt": f"question {n}"} for n in range(10)))  # whose options nothing shows: one order
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


def test_a_context_of_zero_is_a_name_as_well(load: Load) -> None:
    """Contexts that are counted from 0 keep the questions of the first one together."""
    rows = load({**ROW, "context": 0}, {**ROW, "prompt": "Other?", "context": 0}, {**ROW, "context": 1})
    assert [row.context for row in rows] == ["0", "0", "1"]


def _answers(rows: list[ChoiceRow], right: list[bool]) -> list[ChoiceAnswer]:
    return [
        ChoiceAnswer(id=row.id, options=("A", "B"), readings=(), p=(0.7, 0.3), correct=float(one))
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


def test_a_task_of_big_bench_is_read(tmp_path: Path) -> None:
    """Each example shows its options a line each, behind the task's prefix; the highest score is right."""
    task = {
        "name": "sums",
        "task_prefix": "Add up.\n",
        "metrics": ["multiple_choice_grade"],
        "examples": [
            {"input": "Two and two?", "target_scores": {"5": 0, "4": 1, "four": 1}},
            {"input": "Two and three?", "target_scores": {"5": 1.0, "6": -1.0}},
        ],
    }
    (tmp_path / "task.json").write_text(json.dumps(task))
    first, second = load_choices(str(tmp_path / "task.json"))
    assert first.text == "Add up.\nTwo and two?\n\nOptions:\n(A) 5\n(B) 4\n(C) four\n\nAnswer: ("
    assert (first.corrects, first.incorrects, first.options) == (("B", "C"), ("A",), ("5", "4", "four"))
    assert (second.corrects, second.asked) == (("A",), "Add up.\nTwo and three?")


@pytest.mark.parametrize(
    "answer",
    [{"answer": 1}, {"answer": "B"}, {"answer": "4"}, {"gold": 1}, {"answerKey": "B"}],
)
def test_rows_of_choices_are_read(load: Load, answer: dict[str, Any]) -> None:
    """A row of question, choices and answer, by the answer's number, letter or text."""
    row = load({"question": "Two and two?", "choices": ["5", "4", "3"], **answer})[0]
    assert row.text == "Two and two?\n\nOptions:\n(A) 5\n(B) 4\n(C) 3\n\nAnswer: ("
    assert (row.corrects, row.incorrects) == (("B",), ("A", "C"))


def test_choices_with_labels_are_read(load: Load) -> None:
    """Choices may bring their own labels, which the answer names."""
    choices = {"text": ["five", "four"], "label": ["1", "2"]}
    assert load({"question": "Two and two?", "choices": choices, "answerKey": "2"})[0].corrects == ("B",)


def test_labels_that_are_numbers_are_names_before_they_are_places(load: Load) -> None:
    """Labels that count from 1 are meant by an answer that is a number too."""
    choices = {"text": ["five", "four", "three"], "label": [1, 2, 3]}
    rows = load(*({"question": "?", "choices": choices, "answer": one} for one in (1, 2, 3)))
    assert [row.corrects for row in rows] == [("A",), ("B",), ("C",)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"input": "?", "target_scores": {"a": "x"}}, "'target_scores' is {'a': 'x'}; expected {option: number}"),
        ({"input": "?", "target_scores": {"a": 1, "b": 1}}, "'target_scores' tells no right option from a wrong one"),
        ({"target_scores": {"a": 1, "b": 0}}, "'input' is NoneType; expected a text"),
        ({"question": "?", "choices": "ab", "answer": 0}, "'choices' is 'ab'; expected a list of texts"),
        ({"question": "?", "choices": ["a", "b"]}, "'answer' is missing; give a choice's number"),
        ({"question": "?", "choices": ["a", "b"], "answer": "c"}, "the answer 'c' is none of the 2 choices"),
        ({"question": "?", "choices": ["a", "b"], "answer": 2}, "the answer 2 is none of the 2 choices"),
        ({"question": "?", "choices": ["a", "b"], "answer": True}, "the answer True is none of the 2 choices"),
        ({"question": "?", "choices": ["a", "b"], "answer": "²"}, "the answer '²' is none of the 2 choices"),
        (
            {"question": "?", "choices": {"text": ["a", "b"], "label": ["A", "B", "C"]}, "answerKey": "C"},
            "'label' of 'choices' is ['A', 'B', 'C']; expected one for each of 2",
        ),
        (
            {"question": "?", "choices": {"text": ["a", "b"], "label": 3}, "answerKey": "A"},
            "'label' of 'choices' is 3; expected one for each of 2",
        ),
        ({"input": "?", "target_scores": {"a": math.nan, "b": 0}}, "'target_scores' is {'a': nan, 'b': 0}; expected"),
        ({"question": "?", "choices": ["a"], "answer": 0}, "has 1 options; expected 2 to 26"),
        ({"question": "?", "choices": ["a", " "], "answer": 0}, "the option ' ' says nothing"),
    ],
)
def test_a_wrong_row_of_another_layout_names_its_line(load: Load, row: dict[str, Any], message: str) -> None:
    """What is wrong with a row of scores or choices is told with its line."""
    with pytest.raises(PromptError) as caught:
        load(ROW, row)
    assert str(caught.value).partition("x.jsonl")[2].startswith(f":2: {message}")


@pytest.mark.parametrize(
    ("prompt", "options"),
    [
        ("Which?\n(A) one\n(B) two\nAnswer:", ("one", "two")),
        ("Which?\n(A) one\nof many\n\n(B) two\n\nmore\n\nThe better one is", ("one\nof many", "two\n\nmore")),
        ("Which?\nA. one\nB. two", ("one", "two")),
        ("Which?\n (A) one\n (B) is it (A) one?\n\nAnswer:", ("one", "is it (A) one?")),
        ("Which?\n(B) two\n(A) one\nAnswer:", ()),
        ("Which, (A) one or (B) two?\nAnswer:", ()),
        ("Which?\n(A) one\n(B)\nAnswer:", ()),
    ],
)
def test_options_are_found_where_each_begins_a_line(load: Load, prompt: str, options: tuple[str, ...]) -> None:
    """An option goes from its letter to the next, the last one's to a line that asks for the answer."""
    row = load({**ROW, "prompt": prompt})[0]
    assert row.options == options
    assert row.shown_as(range(len(options))) == row.text


def test_each_letter_keeps_its_place_when_options_are_turned_round(load: Load) -> None:
    """Only the options' texts change places."""
    row = load({**ROW, "prompt": "Which?\n A. one\n\n B. two\nof them\n\nAnswer:"})[0]
    assert row.shown_as([1, 0]) == "Which?\n A. two\nof them\n\n B. one\n\nAnswer: ("


class Recording(ScriptedEngine):
    """Remembers what it is asked; finds ``likes`` likelier than all else."""

    def __init__(self, likes: str = "", chain: str = "Because.") -> None:
        super().__init__()
        self.likes, self.chain = likes, chain
        self.requests: list[Any] = []

    async def score(self, request: ScoreRequest) -> Score:
        """Give what it likes a tenth of a nat a token less."""
        self.requests.append(request)
        n = len(request.continuation.split())
        return Score(
            logprob=-n * (0.9 if request.continuation.strip() == self.likes else 1.0), n_tokens=n, n_prompt_tokens=1
        )

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Take the first letter."""
        self.requests.append(request)
        return Choice(logprobs=tuple(-float(n) for n in range(len(request.options))), mass=0.9, n_prompt_tokens=1)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Write the chain."""
        self.requests.append(request)
        return Completion(text=self.chain, finish="stop", n_prompt_tokens=1, n_completion_tokens=1)


def test_texts_are_read_by_their_mean_token() -> None:
    """A long option is not less likely for its length; no other option is in sight."""
    row = _row("Which?", ["four of them all", "five"], 0)
    engine = Recording("four of them all")
    found = run(answer_one(row, engine, Asking(mode="text")))
    assert found.correct == 1.0
    assert [(one.text, one.continuation) for one in engine.requests] == [
        ("Which?\n\nAnswer:", " four of them all"), ("Which?\n\nAnswer:", " five"),
    ]  # fmt: skip
    assert found.readings[0].logits == (-3.6, -1.0)


def test_texts_of_a_transcript_are_the_assistant_s_turn() -> None:
    """A question that is a transcript goes on with an assistant's turn, or through the chat template."""
    row = _row("\n\nHuman: Which?", ["four", "five"], 0)
    engine = Recording()
    run(answer_one(row, engine, Asking(mode="text")))
    run(answer_one(row, engine, Asking(mode="text", layout="chat")))
    plain, _, chat, _ = engine.requests
    assert (plain.text, plain.continuation) == ("\n\nHuman: Which?\n\nAssistant:", " four")
    assert [(one.role, one.content) for one in chat.messages] == [("user", "Which?")]
    assert chat.continuation == "four"


def test_whole_conversations_are_scored_where_they_part(load: Load) -> None:
    """Conversations of the file's own are read from their first different word on."""
    talks = {
        "text_correct": "\n\nHuman: Which?\n\nAssistant: Four, of course.",
        "text_incorrect": "\n\nHuman: Which?\n\nAssistant: Five, of course.",
    }
    engine = Recording()
    row = load({**ROW, **talks, "corrects": ["(B)"], "incorrects": ["(A)"]})[0]
    run(answer_one(row, engine, Asking(mode="text")))
    assert [(one.text, one.continuation) for one in engine.requests] == [
        ("\n\nHuman: Which?\n\nAssistant:", " Five, of course."),
        ("\n\nHuman: Which?\n\nAssistant:", " Four, of course."),
    ]


def test_chains_of_thought_come_before_the_letter() -> None:
    """Each order has its chains, drawn from the same seeds; the letter is read after each."""
    engine = Recording(chain=" It is four.\n")
    found = run(answer_one(_row("Which?", ["four", "five"], 0), engine, Asking(mode="chain", chains=2)))
    chains = [one for one in engine.requests if isinstance(one, CompletionRequest)]
    letters = [one for one in engine.requests if isinstance(one, ChoiceRequest)]
    assert len(chains) == len(letters) == len(found.readings) == 4
    assert {one.text for one in chains} == {
        "Which?\n\nOptions:\n(A) four\n(B) five\n\nAnswer: Let's think step by step:",
        "Which?\n\nOptions:\n(A) five\n(B) four\n\nAnswer: Let's think step by step:",
    }
    assert sorted(one.sampling.seed for one in chains[:2]) == sorted(one.sampling.seed for one in chains[2:])
    assert letters[0].text.endswith("Let's think step by step: It is four.\nSo the answer is (")
    assert found.p == (0.5, 0.5)


def test_an_answer_without_a_chain_is_wrong_and_counted() -> None:
    """A model that writes no chain has no answer: it counts as wrong."""
    row = _row("Which?", ["four", "five"], 0)
    found = run(answer_one(row, Recording(chain="  "), Asking(mode="chain")))
    assert (found.readings, found.p, found.correct) == ((), (), 0.0)
    quality = assess([row], [found])
    assert (quality.n_unread, quality.accuracy.value, quality.n_both_orders) == (1, 0.0, 0)


def test_a_chat_is_shown_the_question_as_a_turn() -> None:
    """Through the chat template the bracket begins the answer."""
    engine = Recording()
    run(answer_one(_row("Which?", ["four", "five"], 0), engine, Asking(layout="chat")))
    assert engine.requests[0].messages[0].content == "Which?\n\nOptions:\n(A) four\n(B) five\n\nAnswer:"
    assert engine.requests[0].prefill == "("


def test_worked_examples_stand_before_the_question() -> None:
    """Examples are answered, of other contexts than what is asked, and their right letters come in turn."""
    rows = [_row(f"Which {n}?", [f"four {n}", f"five {n}"], 0) for n in range(8)]
    chosen = choose_questions(rows, n_examples=4, seed=3)
    assert [one.corrects for one in chosen.examples] == [("A",), ("B",), ("A",), ("B",)]
    assert all(one.text.endswith("Answer: (") for one in chosen.examples)
    assert len(chosen.rows) == chosen.n_left_out == 4
    assert not {one.context for one in chosen.rows} & {one.context for one in chosen.examples}
    for one in chosen.examples:
        line = one.text.splitlines()[{"A": 3, "B": 4}[one.corrects[0]]]
        assert line == f"({one.corrects[0]}) four {one.context.split()[1][:-1]}"
    engine = Recording()
    run(answer_one(chosen.rows[0], engine, Asking(examples=chosen.examples)))
    shown = "".join(f"{one.text}{one.corrects[0]})\n\n" for one in chosen.examples)
    assert engine.requests[0].text == f"{shown}{chosen.rows[0].text}"
    assert engine.requests[0].n_shared == len(shown)


def test_examples_of_another_file_leave_their_contexts_out() -> None:
    """A question that an example of another file asks too is not asked."""
    rows = [_row(f"Which {n}?", ["four", "five"], 0) for n in range(3)]
    chosen = choose_questions(rows, n_examples=1, others=[rows[1]])
    assert chosen.rows == (rows[0], rows[2])
    assert choose_questions(rows, n=2, seed=1).rows in {(rows[0], rows[1]), (rows[0], rows[2]), (rows[1], rows[2])}
    with pytest.raises(PromptError, match=r"4 worked examples .* the questions have 3 contexts"):
        choose_questions(rows, n_examples=4)
    with pytest.raises(PromptError, match="every question shares its context with a worked example"):
        choose_questions(rows, n_examples=3)


def test_an_example_that_names_its_context_otherwise_leaves_the_question_out(load: Load) -> None:
    """A question is not shown with its answer before itself, whatever each file calls its context."""
    named = load({**ROW, "context": "sums"}, {**ROW, "prompt": "Other?", "context": "others"})
    chosen = choose_questions(named, n_examples=1, others=load(ROW))
    assert [row.context for row in chosen.rows] == ["others"]
    assert chosen.n_left_out == 1


def test_a_preference_model_s_rewards_are_answers() -> None:
    """The option whose conversation has the highest reward is the answer; probabilities are those of Bradley-Terry."""
    rows = [_row("\n\nHuman: Which?", ["four", "five"], 0), _row("Other?", ["four", "five"], 1)]
    asked = []

    def rewards(conversations: Any) -> list[float]:
        asked.extend(conversations)
        return [1.0 if option == "four" else 0.0 for _, option in conversations]

    found = answer_with_rewards(rows, "pm", rewards, file="x.jsonl", mapper=map_rows).done
    assert [one.correct for one in found] == [1.0, 0.0]
    assert found[0].p[0] == pytest.approx(1 / (1 + math.exp(-1)))
    assert {turns[0].content for turns, _ in asked} == {"Which?", "Other?"}


def test_baselines_stand_beside_the_score() -> None:
    """What a place, chance and the options' lengths would get right; of options of one length each counts its part."""
    rows = [
        _row("1?", ["a", "bb"], 1),
        _row("2?", ["aa", "bb"], 0),
        _row("3?", ["aaa", "b"], 0),
        _row("4?", ["aaa", "b"], 1),
    ]
    answers = [
        ChoiceAnswer(
            id=row.id,
            options=("A", "B"),
            readings=(
                OptionReading(place=(0, 1), logits=(0.0, -1.0)),
                OptionReading(place=(1, 0), logits=(0.0, -1.0) if sure else (-1.0, 0.0)),
            ),
            p=(0.6, 0.4),
            correct=float("A" in row.corrects),
        )
        for row, sure in zip(rows, (True, False, False, False), strict=True)
    ]
    found = assess(rows, answers)
    assert found.baselines == {
        "chance": 0.5, "first option": 0.5, "last option": 0.5, "longest option": 0.625, "shortest option": 0.375,
    }  # fmt: skip
    assert found.accuracy.value == 0.5
    assert found.ece == pytest.approx(0.1)
    assert found.same_place is not None
    assert (found.n_both_orders, found.same_place.value, found.same_place.n) == (4, 0.75, 4)
    assert found.same_place.low is not None
    assert found.same_place.low < 0.75
    mean, most = found.ece_by_chance
    assert 0 <= mean <= most
    assert (
        "longest option"
        not in assess([ChoiceRow("c", "?", ("A",), ("B",))], [answers[0].model_copy(update={"id": "c"})]).baselines
    )


def test_a_mode_that_cannot_be_asked_is_refused(load: Load) -> None:
    """A model that tells no log-probabilities of texts, and a question that does not show its options, are named."""
    with pytest.raises(CapabilityError, match="cannot be asked to score, as --mode text"):
        require_able(Mute(), Asking(mode="text"))
    require_able(Mute(), Asking(mode="letters"))
    rows = load({**ROW, "prompt": "Say A or B"})
    with pytest.raises(PromptError, match=r"x\.jsonl: the options of 'Say A or B' cannot be found in its text"):
        require_readable("x.jsonl", rows, Asking(mode="text"))
    require_readable("x.jsonl", rows, Asking())
    talks = load({**ROW, "text_correct": "four", "text_incorrect": "five"})
    require_readable("x.jsonl", talks, Asking(mode="text"))
    with pytest.raises(PromptError, match="are no transcripts of a question and an answer"):
        require_readable("x.jsonl", talks, Asking(mode="rewards"))


class Mute(ScriptedEngine):
    """Scores nothing."""

    capabilities = frozenset({"choose", "complete"})
