"""Rows of instructions: reading them, scoring answers strictly and loosely, and the figures; and our own prompts."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charter.errors import PromptError
from charter.evaluation.instructions import (
    CONSTRAINTS,
    Instruction,
    InstructionRow,
    Outcome,
    load_instructions,
    measure_instructions,
    score_answer,
)
from charter.records import make_prompt
from charter.statistics import holm, paired_rate_difference, rate_interval

ROW = {"key": 1, "prompt": "Say it.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
NUMBERS = "zero one two three four five six seven eight nine ten".split()  # noqa: SIM905 - reads better than a list
BUILT_IN = load_instructions()


def write(path: Path, *rows: dict[str, Any]) -> str:
    """Write rows as JSON lines."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return str(path)


def test_ifeval_s_rows_are_read(tmp_path: Path) -> None:
    """A row as IFEval has it, and one as a table of it has it, with a null for all that is not given."""
    file = write(
        tmp_path / "x.jsonl",
        {
            "key": 1000,
            "prompt": "Write a poem in two paragraphs. No commas.",
            "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_paragraphs"],
            "kwargs": [{}, {"num_paragraphs": 2}],
        },
        {**ROW, "key": "other", "kwargs": [{"num_words": None, "relation": None}]},
    )
    first, second = load_instructions(file)
    assert first.key == "1000"
    assert first.prompt.text == "Write a poem in two paragraphs. No commas."
    assert first.instructions == (
        Instruction("punctuation:no_comma", {}),
        Instruction("length_constraints:number_paragraphs", {"num_paragraphs": 2}),
    )
    assert (second.key, second.instructions) == ("other", (Instruction("punctuation:no_comma", {}),))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROW, "key": None}, "'key' is None; expected a text or a whole number"),
        ({**ROW, "prompt": " "}, "'prompt' is ' '; expected a text that says something"),
        ({**ROW, "instruction_id_list": []}, "'instruction_id_list' is empty"),
        ({**ROW, "instruction_id_list": "a"}, "'instruction_id_list' is 'a'; expected a list"),
        ({"key": 1, "prompt": "Say it."}, "'instruction_id_list' is missing; expected a list"),
        ({**ROW, "kwargs": [{}, {}]}, "'kwargs' has 2 objects for 1 names"),
        ({**ROW, "kwargs": [None]}, "'kwargs' of punctuation:no_comma is None; expected an object"),
        ({**ROW, "instruction_id_list": ["punctuation:no_coma"]}, "did you mean"),
        (ROW, "the key '1' stands on an earlier row too"),
    ],
)
def test_a_wrong_row_names_its_line(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    """Whatever is wrong with a row is told with the file and the line."""
    file = write(tmp_path / "x.jsonl", ROW, row)
    with pytest.raises(PromptError) as caught:
        load_instructions(file)
    assert str(caught.value).startswith(f"{file}:2: ")
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A mistyped built-in name is no file."""
    with pytest.raises(PromptError, match=r"bulit-in: no such file.*did you mean"):
        load_instructions("bulit-in")
    assert not list(tmp_path.iterdir())


def test_fewer_are_a_part_of_more() -> None:
    """Rows are drawn by the seed, and come in the file's order."""
    few, more = load_instructions(n=5, seed=3), load_instructions(n=20, seed=3)
    keys = [row.key for row in more]
    assert (len(few), len(more)) == (5, 20)
    assert {row.key for row in few} < set(keys)
    assert keys == sorted(keys, key=int)
    assert {row.key for row in load_instructions(n=5, seed=4)} != {row.key for row in few}


@pytest.mark.parametrize(
    ("name", "kwargs", "answer"),
    [
        ("combination:repeat_prompt", {"prompt_to_repeat": "Name a river."}, "Sure!\nName a river.\nThe Danube."),
        ("startend:end_checker", {"end_phrase": "Good luck"}, "Try. Good luck\nYours, the assistant"),
        ("startend:quotation", {}, 'Here you are:\n"All of it."\nI hope that helps'),
        ("startend:end_checker", {"end_phrase": "Good luck"}, "Try.\n**Good luck**"),
        ("startend:quotation", {}, 'Here:\n**"All of it."**\nBye'),
    ],
)
def test_loose_reading_forgives_what_stands_around(name: str, kwargs: dict[str, Any], answer: str) -> None:
    """The first line, the last, both, and asterisks are left out in turn."""
    assert score_answer([Instruction(name, kwargs)], answer) == Outcome((False,), (True,))


def test_loose_reading_is_never_the_stricter() -> None:
    """What is followed as it stands is followed loosely, where the asterisks are what is asked for too."""
    asked = [Instruction("detectable_format:number_highlighted_sections", {"num_highlights": 1})]
    assert score_answer(asked, "*so*") == Outcome((True,), (True,))
    assert score_answer(asked, "so") == Outcome((False,), (False,))
    assert score_answer(asked, "") == Outcome((False,), (False,))


def row(key: str, *names: str) -> InstructionRow:
    """Make a row whose instructions are never looked into."""
    return InstructionRow(
        key, make_prompt(f"Say {key}.", "helpful", id=key), tuple(Instruction(one, {}) for one in names)
    )


def test_figures_are_shares_with_paired_changes() -> None:
    """Prompts need every instruction; instructions are clustered by prompt; families are adjusted together."""
    rows = [row(str(number), "a:x", "b:y") for number in range(12)]
    base = {str(n): Outcome((n < 6, n < 3), (n < 8, n < 4)) for n in range(12)}
    other = {str(n): Outcome((True, n < 3), (True, n < 4)) for n in range(12)}
    found = {
        (one.name, one.model, one.subset): one
        for one in measure_instructions(rows, {"base": base, "other": other}, base="base")
    }
    assert len(found) == 16
    prompts = found["prompts_followed_strict", "base", "all"]
    assert (prompts.value, prompts.n, prompts.n_groups) == (0.25, 12, None)
    assert found["prompts_followed_loose", "other", "all"].value == pytest.approx(4 / 12)
    every = found["instructions_followed_strict", "base", "all"]
    groups = [str(n) for n in range(12) for _ in "ab"]
    expected = rate_interval([float(n < limit) for n in range(12) for limit in (6, 3)], groups=groups)
    assert (every.value, every.low, every.high, every.n, every.n_groups) == (
        pytest.approx(9 / 24), pytest.approx(expected.low), pytest.approx(expected.high), 24, 12,
    )  # fmt: skip
    a = found["instructions_followed_strict", "other", "a"]
    plain = paired_rate_difference([float(n < 6) for n in range(12)], [1.0] * 12)
    assert (a.difference, a.difference_low) == (0.5, pytest.approx(plain.low))
    assert a.p_value == pytest.approx(holm([plain.p_value, 1.0])[0])
    assert found["instructions_followed_strict", "base", "a"].difference is None


def test_only_what_both_answered_is_compared() -> None:
    """A model without an answer to a prompt is measured on the others, and compared on what both have."""
    rows = [row(str(number), "a:x") for number in range(6)]
    base = {str(n): Outcome((True,), (True,)) for n in range(6)}
    other = {str(n): Outcome((n > 0,), (True,)) for n in range(4)}
    found = measure_instructions(rows, {"base": base, "other": other}, base="base")
    strict = next(one for one in found if (one.name, one.model) == ("prompts_followed_strict", "other"))
    assert (strict.n, strict.value, strict.difference) == (4, 0.75, -0.25)
    assert strict.method.startswith("paired on 4 rows")


def test_built_in_prompts_cover_every_constraint() -> None:
    """There are 128 prompts of one to three instructions, and each constraint is asked for seven times at least."""
    counts = Counter(one.name for each in BUILT_IN for one in each.instructions)
    assert set(counts) == set(CONSTRAINTS)
    assert min(counts.values()) >= 7
    assert len(BUILT_IN) == 128
    assert {len(each.instructions) for each in BUILT_IN} == {1, 2, 3}
    assert len({each.group for each in BUILT_IN}) == len(BUILT_IN)
    assert all(len({one.name for one in each.instructions}) >= len(each.instructions) - 1 for each in BUILT_IN)


def _says_relation(text: str, relation: str, limit: int) -> bool:
    words = r"(?:at least|no fewer than)" if relation == "at least" else r"(?:fewer than|less than)"
    return re.search(rf"{words} {_number(limit)}\b", text) is not None


def _number(n: int) -> str:
    spoken = {1: "(?:once|one)", 2: "(?:twice|two)"}.get(n, NUMBERS[n] if n < len(NUMBERS) else str(n))
    return rf"(?:{n}|{spoken})"


SAYS: dict[str, Callable[..., bool]] = {
    "keywords:existence": lambda text, keywords: all(f"'{one.lower()}'" in text for one in keywords),
    "keywords:frequency": lambda text, keyword, relation, frequency: (
        f"'{keyword}'" in text and _says_relation(text, relation, frequency)
    ),
    "keywords:forbidden_words": lambda text, forbidden_words: (
        all(f"'{one}'" in text for one in forbidden_words)
        and re.search(r"\b(?:not|without|avoid|nothing)\b", text) is not None
    ),
    "keywords:letter_frequency": lambda text, letter, let_relation, let_frequency: (
        f"letter {letter} " in text and _says_relation(text, let_relation, let_frequency)
    ),
    "language:response_language": lambda text, language: LANGUAGE_NAMES[language] in text,
    "length_constraints:number_sentences": lambda text, relation, num_sentences: (
        "sentences" in text and _says_relation(text, relation, num_sentences)
    ),
    "length_constraints:number_paragraphs": lambda text, num_paragraphs: (
        "***" in text and re.search(rf"{_number(num_paragraphs)} paragraphs", text) is not None
    ),
    "length_constraints:number_words": lambda text, relation, num_words: (
        "words" in text and _says_relation(text, relation, num_words)
    ),
    "length_constraints:nth_paragraph_first_word": lambda text, num_paragraphs, nth_paragraph, first_word: (
        re.search(rf"{_number(num_paragraphs)} paragraphs", text) is not None
        and f"'{first_word}'" in text
        and re.search(
            rf"{ORDINALS[nth_paragraph]} paragraph|paragraph {nth_paragraph}|the {ORDINALS[nth_paragraph]} must", text
        )
        is not None
        and "empty line" in text
    ),
    "detectable_content:number_placeholders": lambda text, num_placeholders: (
        "square brackets" in text and _says_relation(text, "at least", num_placeholders)
    ),
    "detectable_content:postscript": lambda text, postscript_marker: (
        "postscript" in text and postscript_marker.lower() in text
    ),
    "detectable_format:number_bullet_lists": lambda text, num_bullets: (
        re.search(rf"exactly {_number(num_bullets)} (?:tips as )?bullet points", text) is not None
    ),
    "detectable_format:constrained_response": lambda text: all(
        f"'my answer is {one}.'" in text for one in ("yes", "no", "maybe")
    ),
    "detectable_format:number_highlighted_sections": lambda text, num_highlights: (
        "highlight" in text and _says_relation(text, "at least", num_highlights)
    ),
    "detectable_format:multiple_sections": lambda text, section_spliter, num_sections: (
        f"{section_spliter.lower()} x" in text and _says_relation(text, "at least", num_sections)
    ),
    "detectable_format:json_format": lambda text: "json" in text,
    "detectable_format:title": lambda text: "title" in text and "double angular brackets" in text,
    "combination:two_responses": lambda text: "******" in text and "two" in text,
    "combination:repeat_prompt": lambda text, prompt_to_repeat: (
        prompt_to_repeat.lower() in text and re.search(r"\brepeat\b", text) is not None
    ),
    "startend:end_checker": lambda text, end_phrase: (
        end_phrase.lower() in text and re.search(r"\b(?:end|finish)\b", text) is not None
    ),
    "startend:quotation": lambda text: "double quotation marks" in text,
    "change_case:capital_word_frequency": lambda text, capital_relation, capital_frequency: (
        re.search(r"\bcapitals?\b", text) is not None and _says_relation(text, capital_relation, capital_frequency)
    ),
    "change_case:english_capital": lambda text: "capital letters" in text and "english" in text,
    "change_case:english_lowercase": lambda text: "lowercase" in text and "english" in text,
    "punctuation:no_comma": lambda text: re.search(r"(?:no|any|single) commas?\b", text) is not None,
}
ORDINALS = {1: "first", 2: "(?:second|2nd)", 3: "(?:third|3rd)", 4: "fourth"}
LANGUAGE_NAMES = {
    "de": "german", "es": "spanish", "fi": "finnish", "fr": "french", "it": "italian", "nl": "dutch", "pl": "polish",
    "pt": "portuguese", "sv": "swedish",
}  # fmt: skip


@pytest.mark.parametrize("each", BUILT_IN, ids=lambda each: each.key)
def test_built_in_prompts_say_what_they_ask(each: InstructionRow) -> None:
    """Whoever reads the prompt alone knows every instruction, with its numbers and words."""
    text = each.prompt.text.lower()
    unsaid = [one for one in each.instructions if not SAYS[one.name](text, **one.kwargs)]
    assert not unsaid, each.prompt.text


def test_the_rules_above_can_fail() -> None:
    """A prompt that says another number, word or nothing is found."""
    assert not SAYS["length_constraints:number_words"]("use fewer than 80 words", relation="less than", num_words=8)
    assert not SAYS["length_constraints:number_words"]("use at least 80 words", relation="less than", num_words=80)
    assert not SAYS["keywords:existence"]("mention 'rust'", keywords=["rust", "door"])
    assert not SAYS["punctuation:no_comma"]("write a poem")


#: What no answer can follow together, or can only by not being what the other asks for.
AT_ODDS = [
    {"change_case:english_capital", "change_case:english_lowercase"},
    {"change_case:english_lowercase", "change_case:capital_word_frequency"},
    {"detectable_format:json_format", "detectable_format:title"},
    {"detectable_format:json_format", "startend:quotation"},
    {"detectable_format:json_format", "combination:two_responses"},
    {"combination:two_responses", "length_constraints:number_paragraphs"},
    {"combination:repeat_prompt", "startend:quotation"},
    {"startend:quotation", "detectable_content:postscript"},
    *({"detectable_format:constrained_response", other} for other in CONSTRAINTS if "constrained" not in other),
    *({"language:response_language", f"change_case:english_{case}"} for case in ("capital", "lowercase")),
]


@pytest.mark.parametrize("each", BUILT_IN, ids=lambda each: each.key)
def test_built_in_prompts_can_be_followed(each: InstructionRow) -> None:
    """No prompt asks for what cannot be had together, nor forbids what it asks to write."""
    names = {one.name for one in each.instructions}
    assert not [pair for pair in AT_ODDS if pair <= names]
    given = {key: value for one in each.instructions for key, value in one.kwargs.items()}
    if "punctuation:no_comma" in names:
        assert "," not in given.get("prompt_to_repeat", "") + given.get("end_phrase", "")
    wanted = " ".join([*given.get("keywords", ()), given.get("keyword", ""), given.get("end_phrase", "")])
    assert not [word for word in given.get("forbidden_words", ()) if word in wanted]
