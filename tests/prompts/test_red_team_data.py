"""The built-in red-team prompts and their benign twins: counts, balance, pairing, distinctness and length."""

import json
import re
from collections import Counter
from importlib.resources import files
from itertools import combinations, pairwise
from statistics import median
from typing import Any

import pytest

from charter.records import Prompt, PromptKind, make_prompt

Row = dict[str, Any]
N_PROMPTS = 240
MIN_CATEGORIES = 12
MAX_SIMILARITY = 0.5
MIN_WORDS, MAX_WORDS = 6, 60


def _rows(name: str) -> list[Row]:
    text = files("charter").joinpath("prompts", "data", name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _words(text: str) -> list[str]:
    return re.findall(r"[\w'-]+", text.lower())


def _jaccard(left: set[Any], right: set[Any]) -> float:
    return len(left & right) / len(left | right)


def _three_grams(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[start : start + 3]) for start in range(len(words) - 2)}


@pytest.fixture(scope="module")
def red_team() -> list[Row]:
    """The rows of the red-team file, in its order."""
    return _rows("red_team.jsonl")


@pytest.fixture(scope="module")
def twins() -> list[Row]:
    """The rows of the benign twins' file, in its order."""
    return _rows("benign_twins.jsonl")


def test_each_file_has_its_rows_and_columns(red_team: list[Row], twins: list[Row]) -> None:
    """Each file holds 240 rows with exactly the documented columns, all of them text."""
    assert len(red_team) == len(twins) == N_PROMPTS
    assert all(list(row) == ["id", "category", "prompt"] for row in red_team)
    assert all(list(row) == ["id", "category", "prompt", "twin_of"] for row in twins)
    assert all(isinstance(value, str) and value for row in red_team + twins for value in row.values())


def test_ids_follow_their_category_and_number(red_team: list[Row], twins: list[Row]) -> None:
    """An id is its prefix, its category and a running number from 01, and the lines are sorted by it."""
    for prefix, rows in (("rt", red_team), ("bt", twins)):
        seen: Counter[str] = Counter()
        for row in rows:
            seen[row["category"]] += 1
            assert row["id"] == f"{prefix}-{row['category']}-{seen[row['category']]:02d}"
        assert all(left["id"] < right["id"] for left, right in pairwise(rows))


def test_categories_are_many_and_balanced(red_team: list[Row], twins: list[Row]) -> None:
    """At least 12 categories share the prompts, none with over one more than another."""
    sizes = Counter(row["category"] for row in red_team)
    assert len(sizes) >= MIN_CATEGORIES
    assert max(sizes.values()) - min(sizes.values()) <= 1
    assert sizes == Counter(row["category"] for row in twins)


def test_each_prompt_has_one_twin_of_its_category(red_team: list[Row], twins: list[Row]) -> None:
    """Twins and red-team prompts pair one to one, within a category."""
    assert sorted(twin["twin_of"] for twin in twins) == [row["id"] for row in red_team]
    category = {row["id"]: row["category"] for row in red_team}
    assert all(category[twin["twin_of"]] == twin["category"] for twin in twins)


def test_no_prompt_nearly_repeats_another(red_team: list[Row], twins: list[Row]) -> None:
    """No two prompts of either file share over half of their word 3-grams, let alone their whole text."""
    grams = [(row["id"], _three_grams(row["prompt"])) for row in red_team + twins]
    near = [
        (left, right)
        for (left, ours), (right, theirs) in combinations(grams, 2)
        if _jaccard(ours, theirs) > MAX_SIMILARITY
    ]
    assert near == []
    assert len({" ".join(_words(row["prompt"])) for row in red_team + twins}) == 2 * N_PROMPTS


def test_twins_look_like_their_own_prompt(red_team: list[Row], twins: list[Row]) -> None:
    """For three twins in four, no red-team prompt shares more words than their own (by chance: one in 240)."""
    words = {row["id"]: set(_words(row["prompt"])) for row in red_team}
    nearest = 0
    for twin in twins:
        likeness = {row: _jaccard(set(_words(twin["prompt"])), theirs) for row, theirs in words.items()}
        nearest += likeness[twin["twin_of"]] == max(likeness.values())
    assert nearest / len(twins) >= 0.75


def test_lengths_are_bounded_and_tell_nothing(red_team: list[Row], twins: list[Row]) -> None:
    """Prompts run from 6 to 60 words, and twins are as long as red-team prompts, so length gives neither away."""
    lengths = {name: [len(row["prompt"].split()) for row in rows] for name, rows in (("r", red_team), ("t", twins))}
    assert all(MIN_WORDS <= length <= MAX_WORDS for group in lengths.values() for length in group)
    assert abs(median(lengths["r"]) - median(lengths["t"])) <= 2
    assert abs(sum(lengths["r"]) / sum(lengths["t"]) - 1) <= 0.1


def test_prompts_are_one_clean_line_without_contact_details(red_team: list[Row], twins: list[Row]) -> None:
    """No prompt holds control characters, stray blanks, links, mail addresses, code fences or long numbers."""
    unwanted = re.compile(r"[\x00-\x1f\x7f]|  |https?:|www\.|\S@\S|```|\d{4,}")
    assert [row["id"] for row in red_team + twins if unwanted.search(row["prompt"])] == []
    assert all(row["prompt"] == row["prompt"].strip() for row in red_team + twins)


def test_rows_make_prompt_records(red_team: list[Row], twins: list[Row]) -> None:
    """Each row becomes a prompt record that survives JSON with its id, category and twin."""
    kinds: tuple[tuple[PromptKind, list[Row]], ...] = (("red_team", red_team), ("benign_twin", twins))
    for kind, rows in kinds:
        for row in rows:
            fields = {key: value for key, value in row.items() if key != "prompt"}
            prompt = make_prompt(row["prompt"], kind, **fields)
            assert Prompt.from_json(prompt.to_json()) == prompt
            assert (prompt.id, prompt.text, prompt.twin_of) == (row["id"], row["prompt"], row.get("twin_of"))
