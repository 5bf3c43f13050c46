"""Refusals in answers that a person brings: what is read of a file, the judge's five kinds, and what they come to."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from syrupy.assertion import SnapshotAssertion

from charter.engines.base import ChoiceRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import CapabilityError, EngineError, PromptError
from charter.evaluation.descriptions import cyclic_orders
from charter.evaluation.refusals import (
    DESCRIPTIONS,
    KINDS,
    Answer,
    Columns,
    KindReading,
    assess_judge,
    assess_rules,
    load_answers,
    make_reader,
    of_kind,
    read_answers,
    read_kind_one,
    read_kinds,
    read_labels,
)
from charter.feedback.judge import Judge
from charter.files.csv_cells import escape_cell
from charter.journal.store import Journal
from charter.rows import RowMapper, map_rows
from charter.text_quality import RefusalDegree, ResponseClass
from method_examples import WithoutTemplate, run, shown

COLUMNS = Columns("prompt", "response")
BOMB, CAKE = "How do I build a bomb?", "How do I bake a cake?"
NO, BECAUSE = "I can't help with that.", "I can't help with that, because people could be hurt."
YES = "Mix flour, eggs and sugar, and bake it for half an hour."


def answer(response: str = YES, prompt: str = CAKE, number: int = 1, label: str | None = None) -> Answer:
    """Make a row."""
    return Answer(f"answer-{number}", number, "", f"x.csv:{number + 1}", prompt, response, prompt, label, "")


def write(path: Path, *rows: dict[str, Any]) -> str:
    """Write JSON lines."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("written", "degree"),
    [
        ("1_full_compliance", 0), ("2_full_refusal", 1), ("3_partial_refusal", 2), ("1", 0), (2, 1), (3.0, 2),
        ("2 - full refusal", 1), ("3: Partial", 2), ("FULL-COMPLIANCE", 0), ("full refusal", 1), ("partial", 2),
        (" Partial Refusal ", 2), ("1. complied", 0),
    ],
)  # fmt: skip
def test_degrees_are_read_however_they_are_written(written: object, degree: int) -> None:
    """A number at the beginning or the name, in any case and with any separators."""
    assert read_labels([(written, "x.csv:2")], "label") == ([list(RefusalDegree)[degree].value], "degrees")


@pytest.mark.parametrize("written", ["objection", "Bare Refusal", "bare-refusal", "EVASIVE", "compliance"])
def test_the_four_classes_may_be_the_labels(written: str) -> None:
    """Names of classes are compared as classes."""
    labels, scheme = read_labels([(None, "x:1"), (written, "x:2"), (math.nan, "x:3"), ("  ", "x:4")], "label")
    assert scheme == "classes"
    assert labels[1] in set(ResponseClass)
    assert [labels[0], labels[2], labels[3]] == [None, None, None]


@pytest.mark.parametrize(
    "values",
    [
        ["1", "4"], ["full_compliance", "refused"], ["1_full_refusal"], ["10"], ["1.5"], ["yes"], [True],
        ["partial", "objection"], ["objection", "partial"], ["objection", "2"], ["bare_refusal", "full"],
    ],
)  # fmt: skip
def test_other_labels_are_named_with_their_line(values: list[object]) -> None:
    """The first value that is not of the column's words, its place, and what is expected."""
    with pytest.raises(PromptError) as caught:
        read_labels([(value, f"x.csv:{line}") for line, value in enumerate(values, start=2)], "mine")
    wrong = f"x.csv:{len(values) + 1}: 'mine' is {str(values[-1])!r}; expected 1, 2, 3 or full_compliance"
    assert str(caught.value).startswith(wrong)
    assert "compliance, objection, bare_refusal, evasive" in str(caught.value)


def test_rows_without_a_prompt_or_an_answer_are_kept_aside(tmp_path: Path) -> None:
    """They have their number, their place and the reason; blanks are nothing, and one row may lack both."""
    path = write(
        tmp_path / "x.jsonl",
        {"prompt": BOMB, "response": NO, "id": 7},
        {"prompt": BOMB, "response": " \n"},
        {"prompt": None, "response": NO},
        {},
    )
    answers = load_answers(path, COLUMNS)
    assert [(row.number, row.left_out) for row in answers.rows] == [
        (1, ""), (2, "no answer"), (3, "no prompt"), (4, "no prompt and no answer"),
    ]  # fmt: skip
    assert answers.left_out == {"no answer": 1, "no prompt": 1, "no prompt and no answer": 1}
    assert answers.rows[1].place == f"{path}:2"
    assert [row.name for row in answers.kept] == ["7"]


def test_every_form_is_read_alike(tmp_path: Path) -> None:
    """A packed CSV, and one whose cells are escaped as ours are, give the same rows."""
    dashed = "- Mix it.\n- Bake it."
    plain = f'prompt,response\r\n{CAKE},"{dashed}"\r\n'
    ours = f'prompt,response\r\n{CAKE},"{escape_cell(dashed)}"\r\n'
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(plain.encode()))
    (tmp_path / "x.csv").write_text(ours, "utf-8", newline="")
    found = [load_answers(str(tmp_path / name), COLUMNS).rows[0] for name in ("x.csv.gz", "x.csv")]
    assert [(row.prompt, row.response) for row in found] == [(CAKE, dashed)] * 2


def test_rows_of_one_prompt_hang_together_or_what_a_column_says(tmp_path: Path) -> None:
    """Prompts that differ in writing alone are one; a row without a group stands for itself."""
    rows = [
        {"prompt": CAKE, "response": YES, "from": "a"},
        {"prompt": f"{CAKE.upper()} ", "response": YES, "from": ""},
        {"prompt": BOMB, "response": NO, "from": "a"},
        {"prompt": BOMB, "response": NO},
    ]
    path = write(tmp_path / "x.jsonl", *rows)

    def alike(columns: Columns) -> list[int]:
        groups = [row.group for row in load_answers(path, columns).rows]
        return [groups.index(one) for one in groups]

    assert alike(COLUMNS) == [0, 0, 2, 2]
    assert alike(Columns("prompt", "response", group="from")) == [0, 1, 0, 3]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            Columns("promt", "response"),
            "has no column 'promt'; its columns are prompt, response, mine, number; did you",
        ),
        (Columns("prompt", "response", label="none"), "has no column 'none'"),
        (Columns("prompt", "response", group="none"), "has no column 'none'"),
        (Columns("prompt", "response", label="mine"), "the column 'mine' has no label"),
        (Columns("prompt", "number"), ":1: 'number' is int; expected a text"),
        (Columns("prompt", "mine"), "no row has both a 'prompt' and a 'mine'"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, columns: Columns, message: str) -> None:
    """A column that is not there, one without a label, a cell that is no text, a file without a whole row."""
    path = write(tmp_path / "x.jsonl", {"prompt": CAKE, "response": YES, "mine": "", "number": 3})
    with pytest.raises(PromptError) as caught:
        load_answers(path, columns)
    assert path in str(caught.value)
    assert message in str(caught.value)


def test_rules_are_counted_and_held_against_people() -> None:
    """Shares, and the matrix with people in rows; rows without a label are not compared."""
    rows = [
        answer(YES, CAKE, 1, "full_compliance"),
        answer(NO, BOMB, 2, "full_refusal"),
        answer(BECAUSE, BOMB, 3, "full_compliance"),
        answer(YES, CAKE, 4),
    ]
    found = assess_rules(rows, read_answers(rows), "degrees")
    assert {name: one.count for name, one in found.classes.items()} == {
        "compliance": 2, "objection": 1, "bare_refusal": 1, "evasive": 0,
    }  # fmt: skip
    assert found.degrees["full_refusal"].rate.value == 0.5
    assert found.degrees["full_refusal"].rate.n_groups == 2
    assert found.with_people is not None
    assert found.with_people.matrix.counts == ((1, 1, 0), (0, 1, 0), (0, 0, 0))
    assert found.with_people.agreement.n == 3
    assert assess_rules(rows, read_answers(rows), None).with_people is None


def test_rules_show_how_far_they_are() -> None:
    """Every row counts, and the bar is closed."""
    told: list[Any] = []

    class Watching:
        def begin(self, stage: str, total: int, done: int) -> None:
            told.append((stage, total, done))

        def advance(self, stage: str, note: str = "") -> None:
            told.append(stage + note)

        def end(self, stage: str) -> None:
            told.append(f"{stage} end")

    read_answers([answer(), answer(NO)], Watching())
    assert told == [("rules", 2, 0), "rules", "rules", "rules end"]


Weigh = Callable[[str], float]


def judge(weigh: Weigh, *, mass: float = 1.0, for_letter: tuple[float, ...] = ()) -> tuple[Judge, list[ChoiceRequest]]:
    """Judge by what stands behind a letter, with a favour for some letters; also give what was asked."""
    asked: list[ChoiceRequest] = []
    kinds = {description: kind for kind, description in DESCRIPTIONS.items()}

    def preference(request: ChoiceRequest) -> list[float]:
        asked.append(request)
        assert request.messages is not None
        text = request.messages[-1].content.rpartition("\n\nOptions:\n")[2]
        places = sorted(kinds, key=text.index)
        weights = [weigh(kinds[one]) for one in places]
        weights = [one + favour for one, favour in zip(weights, for_letter or (0.0,) * 5, strict=True)]
        return [mass * one / sum(weights) for one in weights]

    return make_reader(ScriptedEngine(preference=preference, script="kinds")), asked


def test_what_the_judge_is_shown(snapshot: SnapshotAssertion) -> None:
    """All orders of a reading, to the letter; a transcript is shown as its turns."""
    reader, asked = judge(lambda _: 1.0)
    prompt = "\n\nHuman: Hello {you}\n\nAssistant: Hi 100 %s\n\nHuman: Go on\n\nAssistant:"
    run(read_kind_one(answer("Like this.\n\n(B) no.", prompt), reader))
    assert [shown(request) for request in asked] == snapshot


def test_each_kind_stands_at_each_letter_once() -> None:
    """The orders are a Latin square."""
    orders = cyclic_orders(KINDS)
    assert all(set(order) == set(KINDS) for order in orders)
    assert all({order[place] for order in orders} == set(KINDS) for place in range(len(KINDS)))


@pytest.mark.parametrize("kind", KINDS)
def test_content_decides_whatever_letter_is_liked(kind: str) -> None:
    """A judge that knows the kind, and likes a letter more than what it knows, still says the kind."""
    reader, asked = judge(lambda one: 1.2 if one == kind else 1.0, for_letter=(3.0, 0.0, 0.0, 0.0, 0.0))
    found = run(read_kind_one(answer(), reader))
    assert (found.kind, found.invalid, len(asked)) == (kind, "", 5)
    assert sum(found.p) == pytest.approx(1.0)
    assert found.p[KINDS.index(kind)] == max(found.p)
    assert found.keeps_letter
    assert not run(read_kind_one(answer(), judge(lambda one: 1.2 if one == kind else 1.0)[0])).keeps_letter


def test_a_letter_alone_is_no_kind() -> None:
    """A judge that goes by the letter finds all kinds alike: its answer is invalid, not one of them."""
    found = run(read_kind_one(answer(), judge(lambda _: 1.0, for_letter=(5.0, 0.0, 0.0, 0.0, 0.0))[0]))
    assert (found.kind, found.p, found.invalid) == (None, (), "several kinds are equally likely")


def test_letters_without_mass_are_invalid() -> None:
    """Where the letters hold too little in any order, the answer has no kind; the orders are kept."""
    found = run(read_kind_one(answer(), judge(lambda one: 1.0 + (one == "evasive"), mass=0.3)[0]))
    assert (found.kind, found.invalid, len(found.orders)) == (None, "option mass below the minimum", 5)


def test_a_conversation_with_options_of_its_own_is_not_asked_about() -> None:
    """What would show two lists of options is invalid, and costs no call."""
    reader, asked = judge(lambda one: 1.0 + (one == "evasive"))
    found = run(read_kind_one(answer("Take one.\n\nOptions:\n(A) this"), reader))
    assert (found.invalid, asked) == ("the conversation holds marks of the judge's layout", [])


def test_numbers_that_are_none_fail() -> None:
    """NaN is the engine's failure."""

    class Broken(ScriptedEngine):
        async def choose(self, request: ChoiceRequest) -> Any:
            found = await super().choose(request)
            return found.model_copy(update={"logprobs": (math.nan,) * 5})

    with pytest.raises(EngineError, match="cannot be compared"):
        run(read_kind_one(answer(), make_reader(Broken())))


def test_a_model_without_letters_is_refused() -> None:
    """What cannot choose cannot judge."""

    class Mute(ScriptedEngine):
        capabilities = frozenset({"complete"})

    with pytest.raises(CapabilityError, match="tells no log-probabilities of letters"):
        make_reader(Mute())


def test_a_model_without_a_template_is_asked_in_plain_text() -> None:
    """A base model reads the same as text."""
    found = run(read_kind_one(answer(), make_reader(WithoutTemplate())))
    assert len(found.orders) == 5


def test_readings_are_not_asked_twice(tmp_path: Path) -> None:
    """A second time, with a row more, asks about that row alone."""
    reader, asked = judge(lambda one: 1.0 + (one == "objection"))
    rows = [answer(number=number) for number in range(3)]
    with Journal(tmp_path / "journal.sqlite") as journal:
        mapper = cast("RowMapper", partial(map_rows, journal=journal))
        read_kinds(rows[:2], reader, file="x.csv", mapper=mapper)
        assert len(asked) == 10
        mapped = read_kinds(rows, reader, file="x.csv", mapper=mapper)
        assert len(asked) == 15
        assert [one.kind for one in mapped.done] == ["objection"] * 3


def test_each_kind_has_a_degree_and_a_class() -> None:
    """Kinds are told in the words of either scheme; an objection gives nothing of what was asked for."""
    assert {of_kind(kind, "degrees") for kind in KINDS} == set(RefusalDegree)
    assert {of_kind(kind, "classes") for kind in KINDS} == set(ResponseClass)
    assert of_kind("objection", "degrees") == "full_refusal"
    assert of_kind("objection", "classes") == of_kind("partial_refusal", "classes") == "objection"


def test_judge_rules_and_people_are_compared_on_what_was_read() -> None:
    """Each pair has its own matrix; answers without a kind are counted and left out."""
    rows = [
        answer(YES, CAKE, 1, "full_compliance"),
        answer(NO, BOMB, 2, "full_refusal"),
        answer(BECAUSE, BOMB, 3),
        answer(YES, CAKE, 4, "full_compliance"),
    ]
    kinds = [
        KindReading(id="answer-1", p=(0.0, 0.0, 0.0, 0.0, 1.0), kind="compliance"),
        KindReading(id="answer-2", p=(0.0, 0.0, 0.0, 0.0, 1.0), kind="compliance"),
        KindReading(id="answer-3", p=(0.0, 0.0, 1.0, 0.0, 0.0), kind="objection"),
        KindReading(id="answer-4", invalid="option mass below the minimum"),
    ]
    found = assess_judge(rows, read_answers(rows), kinds, "degrees")
    assert (found.n, found.invalid) == (3, {"option mass below the minimum": 1})
    assert found.kinds["compliance"].count == 2
    assert found.with_rules is not None
    assert found.with_people is not None
    assert found.with_rules.matrix.counts == ((1, 0, 0), (1, 1, 0), (0, 0, 0))
    assert found.with_people.matrix.counts == ((1, 0, 0), (1, 0, 0), (0, 0, 0))
    without = assess_judge(rows, read_answers(rows), kinds[3:], None)
    assert (without.n, without.with_rules, without.with_people, without.keeps_letter) == (0, None, None, None)
