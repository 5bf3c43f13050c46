"""The built-in helpful prompts, and the constitution that judges answers to them."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from importlib.resources import files
from itertools import combinations

import pytest
import yaml

from charter.constitution.model import Constitution
from charter.records import make_prompt

Row = dict[str, str]
BOILERPLATE = re.compile(
    r"(sure|certainly|of course|absolutely|great question|as an ai|i'm sorry, but i can't help)\b", re.IGNORECASE
)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Read the built-in helpful prompts."""
    text = (files("charter") / "prompts" / "data" / "helpful.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def constitution() -> Constitution:
    """Read the built-in helpful constitution."""
    text = (files("charter") / "constitution" / "library" / "helpful.yaml").read_text(encoding="utf-8")
    return Constitution.model_validate(yaml.safe_load(text))


def words(text: str) -> list[str]:
    """Split text into lower-case words."""
    return re.findall(r"\w+", text.lower())


def trigrams(text: str) -> set[tuple[str, ...]]:
    """Gather the runs of three words in a text."""
    sequence = words(text)
    return set(zip(sequence, sequence[1:], sequence[2:], strict=False))


def near_duplicates(texts: dict[str, str], limit: float = 0.5) -> list[tuple[str, str]]:
    """Find the pairs of ids whose word 3-grams have a Jaccard similarity above the limit."""
    grams = [(key, trigrams(text)) for key, text in texts.items()]
    return [(i, j) for (i, a), (j, b) in combinations(grams, 2) if a | b and len(a & b) / len(a | b) > limit]


def evaluation(rows: list[Row]) -> list[Row]:
    """Keep the evaluation rows."""
    return [row for row in rows if row["split"] == "evaluation"]


def test_240_rows_of_12_kinds_with_20_each(rows: list[Row]) -> None:
    """Every task kind has the same number of rows, and an id says its kind."""
    kinds = Counter(row["category"] for row in rows)
    assert len(rows) == 240
    assert len(kinds) == 12
    assert set(kinds.values()) == {20}
    assert all(re.fullmatch(rf"hp-{row['category']}-\d\d", row["id"]) for row in rows)


def test_every_row_has_the_same_keys_and_makes_a_prompt(rows: list[Row]) -> None:
    """A row has no key beyond the expected ones, and its values fit a prompt record."""
    for row in rows:
        wanted = {"id", "category", "prompt", "split"} | ({"reference"} if row["split"] == "evaluation" else set())
        assert set(row) == wanted, row["id"]
        fields = {key: value for key, value in row.items() if key != "prompt"}
        assert make_prompt(row["prompt"], "helpful", **fields).text == row["prompt"]


def test_ids_prompts_and_references_are_unique(rows: list[Row]) -> None:
    """No id and no text occurs twice."""
    texts = [" ".join(words(row["prompt"])) for row in rows]
    references = [row["reference"] for row in evaluation(rows)]
    assert len({row["id"] for row in rows}) == len(rows)
    assert len(set(texts)) == len(texts)
    assert len(set(references)) == len(references)


def test_prompts_are_between_6_and_90_words(rows: list[Row]) -> None:
    """Prompts are as long as agreed and carry no stray space around them."""
    for row in rows:
        assert 6 <= len(row["prompt"].split()) <= 90, row["id"]
        assert row["prompt"] == row["prompt"].strip(), row["id"]


def test_80_evaluation_rows_are_spread_over_all_kinds(rows: list[Row]) -> None:
    """Each kind has six or seven evaluation rows, 80 in all."""
    spread = Counter(row["category"] for row in evaluation(rows))
    assert spread.total() == 80
    assert set(spread) == {row["category"] for row in rows}
    assert set(spread.values()) == {6, 7}
    assert {row["split"] for row in rows} == {"train", "evaluation"}


def test_any_start_of_the_file_is_balanced(rows: list[Row]) -> None:
    """The first 60 rows, as a small run takes them, hold every kind equally and both splits."""
    start = rows[:60]
    assert set(Counter(row["category"] for row in start).values()) == {5}
    assert len(evaluation(start)) == 12


def test_references_are_answers_of_15_to_130_words(rows: list[Row]) -> None:
    """Each reference is long enough to be an answer, short enough for a small model, and opens with substance."""
    for row in evaluation(rows):
        reference = row["reference"]
        assert 15 <= len(reference.split()) <= 130, row["id"]
        assert reference == reference.strip(), row["id"]
        assert not BOILERPLATE.match(reference), row["id"]


def test_no_near_duplicates(rows: list[Row]) -> None:
    """No two prompts, and no two references, share more than half of their word 3-grams."""
    assert near_duplicates({row["id"]: row["prompt"] for row in rows}) == []
    assert near_duplicates({row["id"]: row["reference"] for row in evaluation(rows)}) == []


def test_near_duplicates_are_found_where_there_are_some() -> None:
    """The measure itself notices a prompt with a word changed."""
    texts = {"x": "Plan a simple dinner for six people on Friday", "y": "Plan a simple dinner for six people on Sunday"}
    assert near_duplicates(texts) == [("x", "y")]


def test_train_and_evaluation_are_disjoint(rows: list[Row]) -> None:
    """No evaluation prompt, and none of its references, occurs in the training split in other dress."""
    by_split: dict[str, list[set[tuple[str, ...]]]] = defaultdict(list)
    for row in rows:
        by_split[row["split"]].append(trigrams(row["prompt"] + "\n" + row.get("reference", "")))
    closest = max(len(a & b) / max(1, min(len(a), len(b))) for a in by_split["train"] for b in by_split["evaluation"])
    assert closest < 0.5


def test_constitution_has_eight_complete_principles(constitution: Constitution) -> None:
    """The constitution validates, and its principles have unique ids, texts and titles."""
    assert (constitution.name, constitution.version) == ("helpful", "1.0.0")
    assert (constitution.language, constitution.licence) == ("en", "Apache-2.0")
    assert len(constitution.principles) == 8
    for field in ("id", "title", "text", "critique_request", "revision_request", "choice_question"):
        values = [getattr(principle, field) for principle in constitution.principles]
        assert all(values), field
        assert len(set(values)) == 8, field
    assert {principle.weight for principle in constitution.principles} == {1.0}
    assert all(principle.category for principle in constitution.principles)


def test_choice_questions_are_questions_about_responses(constitution: Constitution) -> None:
    """Every choice question asks which response is better, so that a judge can answer with a letter."""
    for principle in constitution.principles:
        assert principle.choice_question.startswith("Which response "), principle.id
        assert principle.choice_question.endswith("?"), principle.id
        assert "\n" not in principle.choice_question, principle.id


def test_judge_examples_are_short_and_balanced(constitution: Constitution) -> None:
    """The worked choices ask the constitution's own questions and favour neither letter nor length."""
    examples = constitution.few_shots.judge
    questions = {principle.choice_question for principle in constitution.principles}
    letters = Counter(example.answer for example in examples)
    assert letters["A"] == letters["B"] > 0
    longer = Counter((len(e.a.split()) > len(e.b.split())) == (e.answer == "A") for e in examples)
    assert longer[True] == longer[False]
    for example in examples:
        assert example.question in questions
        assert example.reasoning
        assert max(len(example.a.split()), len(example.b.split())) < 45


def test_judge_examples_share_nothing_with_the_prompts(rows: list[Row], constitution: Constitution) -> None:
    """A worked choice never gives away a prompt that is to be judged."""
    shown = {f"few-shot {i}": e.messages[-1].content for i, e in enumerate(constitution.few_shots.judge)}
    prompts = {row["id"]: row["prompt"] for row in rows}
    assert near_duplicates(prompts | shown, limit=0.2) == []
