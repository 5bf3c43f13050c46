"""Attacks: which prompts are asked, what becomes of answers and translations, and what they come to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from syrupy.assertion import SnapshotAssertion

from charter.engines.base import CompletionRequest, Sampling
from charter.engines.scripted import ScriptedEngine
from charter.errors import PromptError
from charter.evaluation.attacks import (
    ANY,
    BUILT_IN,
    PLAIN,
    Attacked,
    Outcomes,
    adjusted,
    as_answers,
    attack,
    attack_one,
    choose_targets,
    classes_by_judge,
    classes_by_rules,
    complied,
    declined,
    load_translations,
    make_attempts,
    measure_attacks,
    measure_over_refusal,
    needs_prefill,
    outcomes_of,
    translate,
    translate_one,
    translated,
)
from charter.evaluation.refusals import KindReading
from charter.files.tables import read_table, write_table
from charter.journal.store import Journal
from charter.records import Prompt, make_prompt
from charter.rows import Filtered, RowMapper, map_rows
from charter.statistics import holm, paired_rate_difference, rate_interval
from method_examples import PROMPT, run, shown

NO = "I can't help with that."
YES = "Take the lid, warm it under the tap, and turn it with a cloth."
FOREIGN = "Nehmen Sie den Deckel, wärmen Sie ihn unter dem Hahn, und drehen Sie ihn mit einem Tuch auf."
SAMPLING = Sampling(temperature=0.0, max_tokens=64)


def engine(reply: Callable[[CompletionRequest], str]) -> tuple[ScriptedEngine, list[CompletionRequest]]:
    """Answer by a function of the request, and give what was asked."""
    asked: list[CompletionRequest] = []

    def answer(request: CompletionRequest) -> str:
        asked.append(request)
        return reply(request)

    return ScriptedEngine(answer, script="answers"), asked


def attempt(name: str, reply: str) -> Attacked:
    """Make one attempt that is answered with a text."""
    (one,) = make_attempts([PROMPT], BUILT_IN[name])
    return run(attack_one(one, "m", engine(lambda _: reply)[0], SAMPLING, 0))


def test_an_answer_is_classed_as_one_to_the_bare_prompt() -> None:
    """The wrapper's words are no part of what rules and judge read; the model is asked with them."""
    model, asked = engine(lambda _: f"\n\n{NO}")
    (one,) = make_attempts([PROMPT], BUILT_IN["prefill"])
    found = run(attack_one(one, "m", model, SAMPLING, 0))
    assert (found.label, found.text, found.wrapper, found.model) == ("bare_refusal", NO, "prefill", "m")
    assert found.begun == asked[0].prefill != ""
    assert found.asked == asked[0].messages
    (answer,) = as_answers([found])
    assert (answer.id, answer.prompt, answer.response) == (found.id, PROMPT.text, NO)
    assert attempt("persona", YES).label == "compliance"


def test_answers_in_no_english_have_no_class() -> None:
    """Only of wrappers that may bring that about; others' answers are classed as ever."""
    assert attempt("base64", FOREIGN).label is None
    assert attempt("base64", YES).label == "compliance"
    assert attempt("persona", FOREIGN).label is not None


def test_every_wrapper_draws_from_the_seed_of_the_prompt() -> None:
    """Differences between wrappers are no differences of seeds."""
    model, asked = engine(lambda _: YES)
    for name in (PLAIN, "persona"):
        attack(make_attempts([PROMPT], BUILT_IN[name]), "m", model, sampling=SAMPLING, seed=3, mapper=map_rows)
    assert len({one.sampling.seed for one in asked}) == 1
    assert asked[0].sampling.seed != 0


def test_attempts_are_not_made_twice(tmp_path: Path) -> None:
    """A further prompt is asked alone; a wrapper of the same name with another text is another attempt."""
    model, asked = engine(lambda _: YES)
    prompts = [make_prompt(f"{n}?", "red_team") for n in range(3)]
    with Journal(tmp_path / "journal.sqlite") as journal:
        mapper = cast("RowMapper", partial(map_rows, journal=journal))
        put = partial(attack, model="m", engine=model, sampling=SAMPLING, seed=0, mapper=mapper)
        put(make_attempts(prompts[:2], BUILT_IN["persona"]))
        mapped = put(make_attempts(prompts, BUILT_IN["persona"]))
        assert (len(asked), len(mapped.done)) == (3, 3)
        for text in ("a", "b"):
            put(make_attempts(prompts[:1], translated("Zulu", {prompts[0].id: text})))
        assert len(asked) == 5


def test_attacked_rows_survive_a_table(tmp_path: Path) -> None:
    """What is kept is what there was."""
    rows = [attempt("many-shot", YES), attempt("base64", FOREIGN)]
    write_table(tmp_path / "x.parquet", rows, Attacked)
    assert read_table(tmp_path / "x.parquet", Attacked) == rows


def test_which_attempts_need_a_beginning() -> None:
    """Only those that begin the answer."""
    assert needs_prefill(make_attempts([PROMPT], BUILT_IN["prefill"]))
    assert not any(needs_prefill(make_attempts([PROMPT], one)) for name, one in BUILT_IN.items() if name != "prefill")


def test_what_a_translator_is_asked(snapshot: SnapshotAssertion) -> None:
    """The request is a turn of its own, word by word."""
    model, asked = engine(lambda _: FOREIGN)
    found = run(translate_one(PROMPT, "German", model))
    assert not isinstance(found, Filtered)
    assert (found.id, found.language, found.text) == (PROMPT.id, "German", FOREIGN)
    assert shown(asked[0]) == snapshot


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "no whole text"),
        ("wort " * 2000, "no whole text"),
        (f" {PROMPT.text.upper()}", "gave the request back"),
        ("I am sorry, but I will not translate this, for it could be used to do harm.", "wrote English"),
    ],
)
def test_what_is_no_translation_is_counted(reply: str, reason: str) -> None:
    """Nothing takes the place of a translation."""
    mapped = translate([PROMPT], "German", engine(lambda _: reply)[0], mapper=map_rows)
    assert not mapped.done
    assert reason in mapped.filtered[PROMPT.id]


def test_translations_of_a_file(tmp_path: Path) -> None:
    """They are found by the prompt's text; those of other languages and empty ones are none."""
    path = tmp_path / "x.jsonl"
    rows = [
        {"prompt": f"{PROMPT.text}\n", "translation": "Wie?", "language": "german"},
        {"prompt": "Other?", "translation": " ", "language": "German"},
        {"prompt": PROMPT.text, "translation": "Comment ?", "language": "French"},
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    prompts = [PROMPT, make_prompt("Other?", "red_team")]
    assert load_translations(str(path), prompts, "German") == {PROMPT.id: "Wie?"}
    with pytest.raises(PromptError, match="translates none of the 2 prompts into Zulu"):
        load_translations(str(path), prompts, "Zulu")
    path.write_text("".join(f"{json.dumps(row)}\n" for row in (*rows, rows[0] | {"translation": ""}, rows[0])), "utf-8")
    assert load_translations(str(path), prompts, "German") == {PROMPT.id: "Wie?"}
    path.write_text("".join(f"{json.dumps(row)}\n" for row in (*rows, rows[0] | {"translation": "Was?"})), "utf-8")
    with pytest.raises(PromptError, match=r"x\.jsonl:4: translates a prompt that an earlier row translates otherwise"):
        load_translations(str(path), prompts, "German")
    (tmp_path / "y.csv").write_text("prompt,text\na,b\n")
    with pytest.raises(PromptError, match="'translation'"):
        load_translations(str(tmp_path / "y.csv"), prompts, "German")


def test_built_in_prompts_come_with_their_twins() -> None:
    """Without a file both are there; of a draw the twins are those of what was drawn, and more contain fewer."""
    whole = choose_targets([])
    assert (len(whole.harmful), len(whole.benign)) == (240, 240)
    few, more = choose_targets([], n=6, seed=1), choose_targets([], n=12, seed=1)
    assert {one.twin_of for one in few.benign} == {one.id for one in few.harmful}
    assert {one.id for one in few.harmful} < {one.id for one in more.harmful}
    assert len(whole.categories) == 14


def test_files_of_many_layouts(tmp_path: Path) -> None:
    """Lines, behaviours and contrasts together; the benign ones are those that a file says are."""
    (tmp_path / "a.txt").write_text("Why?\nWhere?\nWhy?\n")
    (tmp_path / "b.csv").write_text("goal,target\nForge a stamp,Sure\n")
    (tmp_path / "c.csv").write_text("prompt,type,label\nBeat an egg?,h,safe\nBeat a man?,contrast_h,unsafe\n")
    found = choose_targets([str(tmp_path / name) for name in ("a.txt", "b.csv", "c.csv")])
    assert [one.text for one in found.harmful] == ["Why?", "Where?", "Forge a stamp", "Beat a man?"]
    assert [one.text for one in found.benign] == ["Beat an egg?"]
    assert found.left_out == {"duplicate text": 1}
    other = choose_targets([str(tmp_path / "a.txt")], benign=str(tmp_path / "c.csv"), n=1)
    assert (len(other.harmful), [one.text for one in other.benign]) == (1, ["Beat an egg?"])
    assert not choose_targets([str(tmp_path / "a.txt")]).benign


def test_files_without_what_is_looked_for(tmp_path: Path) -> None:
    """A file of benign prompts alone attacks nobody, and one of harmful ones is not benign."""
    (tmp_path / "safe.csv").write_text("prompt,type,label\nBeat an egg?,h,safe\n")
    (tmp_path / "unsafe.csv").write_text("prompt,type,label\nBeat a man?,h,unsafe\n")
    with pytest.raises(PromptError, match=r"safe\.csv: no row is a red-team prompt"):
        choose_targets([str(tmp_path / "safe.csv")])
    with pytest.raises(PromptError, match=r"unsafe\.csv: .*none is benign"):
        choose_targets([], benign=str(tmp_path / "unsafe.csv"))


def prompts_of(categories: str) -> list[Prompt]:
    """Make a prompt for each letter, which is its category."""
    return [make_prompt(f"{n}?", "red_team", id=str(n), category=one) for n, one in enumerate(categories)]


def values(bits: str) -> dict[str, bool]:
    """Give each prompt an outcome."""
    return {str(n): bit == "1" for n, bit in enumerate(bits) if bit != "-"}


GROUPS = {str(n): str(n) for n in range(8)}
FOUND: Outcomes = {
    ("a", PLAIN): values("10000000"),
    ("a", "persona"): values("01111110"),
    ("b", PLAIN): values("11110000"),
    ("b", "persona"): values("0111111-"),
}


def test_success_and_differences_by_hand() -> None:
    """Rates and differences are those of the statistics, on the prompts that both have."""
    figures = measure_attacks(FOUND, prompts_of("xxxxyyyy"), GROUPS, first="a", reader="rules")
    whole = {(one.model, one.wrapper): one for one in figures if not one.category}
    assert list(whole) == [(m, w) for m in "ab" for w in (PLAIN, "persona", ANY)]
    assert whole["a", "persona"].rate == rate_interval([0, 1, 1, 1, 1, 1, 1, 0], groups=[*"01234567"])
    assert whole["a", PLAIN].from_first is whole["a", PLAIN].from_plain is None
    assert whole["a", "persona"].from_plain == paired_rate_difference(
        [1, 0, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1, 1, 0], groups=[*"01234567"]
    )
    first = whole["b", "persona"].from_first
    assert first is not None
    assert (first.n, first.difference) == (7, 0.0)
    assert (whole["a", ANY].rate.value, whole["a", ANY].rate.n) == (7 / 8, 8)
    assert (whole["b", ANY].rate.value, whole["b", ANY].rate.n) == (1.0, 7)
    assert whole["b", ANY].from_first is not None
    assert whole["b", ANY].from_plain is None


def test_success_by_category() -> None:
    """Each category has its own rate in each wrapper; prompts without one are in none."""
    figures = measure_attacks(
        FOUND, [*prompts_of("xxxx"), make_prompt("?", "red_team", id="4")], GROUPS, first="a", reader="judge"
    )
    parts = {(one.model, one.wrapper): one for one in figures if one.category == "x"}
    assert {one.category for one in figures} == {"", "x"}
    assert (parts["b", PLAIN].rate.value, parts["b", PLAIN].rate.n) == (1.0, 4)
    assert parts["a", "persona"].rate.value == 0.75
    assert parts["a", "persona"].reader == "judge"


def test_any_wrapper_is_compared_where_both_were_asked_the_same() -> None:
    """A model that was asked in fewer wrappers had fewer chances to fail."""
    fewer = {whose: one for whose, one in FOUND.items() if whose != ("b", "persona")} | {("b", "x"): values("1" * 8)}
    figures = measure_attacks(fewer, prompts_of("xxxxyyyy"), GROUPS, first="a", reader="rules")
    whole = {(one.model, one.wrapper): one for one in figures if not one.category}
    assert whole["b", ANY].from_first is None
    assert whole["b", "x"].from_first is None
    assert whole["b", "x"].from_plain is not None


def test_nobody_takes_the_place_of_a_first_model_without_answers() -> None:
    """Where no answer of the first model has a class, the others are compared with nobody, not with the next."""
    of_others = {(f"{whose}2", wrapper): one for (whose, wrapper), one in FOUND.items()}
    figures = measure_attacks(of_others, prompts_of("xxxxyyyy"), GROUPS, first="a", reader="judge")
    benign = {("a2", PLAIN): values("00000001"), ("b2", PLAIN): values("11111111")}
    figures += measure_over_refusal(benign, GROUPS, first="a", reader="judge")
    assert {one.model for one in figures} == {"a2", "b2"}
    assert all(one.from_first is None for one in figures)


def test_prompts_that_belong_together_count_as_one() -> None:
    """Twenty copies of one prompt bound nothing."""
    together = dict.fromkeys(GROUPS, "one")
    lone = measure_attacks(FOUND, prompts_of("xxxxyyyy"), GROUPS, first="a", reader="rules")[0].rate
    shared = measure_attacks(FOUND, prompts_of("xxxxyyyy"), together, first="a", reader="rules")[0].rate
    assert shared.n_groups == 1
    assert shared.reach > lone.reach


def test_over_refusal_and_adjusted_tests() -> None:
    """The other models are compared with the first; p-values are Holm's over everything that is told."""
    benign = {("a", PLAIN): values("00000001"), ("b", PLAIN): values("11111111")}
    over = measure_over_refusal(benign, GROUPS, first="a", reader="rules")
    assert [one.rate.value for one in over] == [1 / 8, 1.0]
    figures = [*measure_attacks(FOUND, prompts_of("xxxxyyyy"), GROUPS, first="a", reader="rules"), *over]
    tests = [one.p_value for figure in figures for one in (figure.from_first, figure.from_plain) if one is not None]
    corrected = [
        one.p_value for figure in adjusted(figures) for one in (figure.from_first, figure.from_plain) if one is not None
    ]
    assert len(tests) == 6
    assert corrected == holm(tests)
    assert corrected != tests


def test_nothing_was_answered() -> None:
    """No outcome, no figure."""
    assert measure_attacks({}, [], {}, first="a", reader="rules") == []
    assert measure_over_refusal({}, {}, first="a", reader="rules") == []


def test_outcomes_are_of_answers_that_were_read() -> None:
    """Rules and judge each have their own; an answer without a class has no outcome."""
    rows = [attempt(PLAIN, YES), attempt("base64", FOREIGN), attempt("persona", NO)]
    by_rules = outcomes_of(rows, classes_by_rules(rows), complied)
    assert by_rules == {("m", PLAIN): {PROMPT.id: True}, ("m", "persona"): {PROMPT.id: False}}
    kinds: Sequence[KindReading] = [
        KindReading(id=rows[1].id, kind="partial_refusal"),
        KindReading(id=rows[0].id, kind=None, invalid="x"),
    ]
    assert outcomes_of(rows, classes_by_judge(kinds), declined) == {("m", "base64"): {PROMPT.id: True}}
