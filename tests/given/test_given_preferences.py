"""Pairs of people as preferences: sure, or as sure as the file says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.files.tables import write_table
from charter.given import load_pairs
from charter.given.preferences import GivenPreferences, preferences_of
from charter.records import PEOPLE, Pair, Preference, make_prompt


def read(tmp_path: Path, rows: list[dict[str, Any]]) -> GivenPreferences:
    """Write a JSON file and read its pairs as preferences."""
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(rows), "utf-8")
    return preferences_of(load_pairs(path, kind="helpful"))


def row(number: int, **more: Any) -> dict[str, Any]:
    """Make a row of a file."""
    return {"prompt": f"Question {number}?", "chosen": f"Yes, {number}.", "rejected": "No.", **more}


def test_pairs_without_a_probability_are_sure(tmp_path: Path) -> None:
    """People's word is taken for certain; on which side it stands is a hash's affair, and says nothing."""
    found = read(tmp_path, [row(number) for number in range(20)])
    assert [one.chosen for one in found.rows] == [f"Yes, {number}." for number in range(20)]
    assert {one.p_chosen for one in found.rows} == {1.0}
    assert {one.source for one in found.rows} == {PEOPLE}
    assert {one.prompt.kind for one in found.rows} == {"helpful"}
    assert {one.chosen_side for one in found.rows} == {"a", "b"}
    assert len({one.id for one in found.rows}) == 20


@pytest.mark.parametrize(("told", "chosen", "p"), [(0.7, "Yes, 0.", 0.7), ("0.2", "No.", 0.8), (0.5, "Yes, 0.", 0.5)])
def test_a_files_own_probability_is_taken(tmp_path: Path, told: Any, chosen: str, p: float) -> None:
    """It is of the answer that the file calls chosen; below a half the other one is the likelier."""
    (one,) = read(tmp_path, [row(0, p_chosen=told)]).rows
    assert (one.chosen, one.p_chosen) == (chosen, pytest.approx(p))


def test_what_cannot_be_taken_is_counted(tmp_path: Path) -> None:
    """A probability that is none, an answer that is none, and a pair of ours that says nothing for a side."""
    found = read(tmp_path, [row(0), row(1, p_chosen=1.5), row(2, p_chosen="often"), row(3, chosen=" ")])
    assert len(found.rows) == 1
    assert found.left_out == {"p_chosen is no probability": 2, "empty answer": 1}
    prompt = make_prompt("What now?", "helpful")
    pairs = [Pair(id=side, prompt=prompt, a=f"One {side}.", b="Two.", source="on_policy") for side in "xy"]
    write_table(tmp_path / "pairs.parquet", [*pairs, pairs[0].model_copy(update={"a": "!", "intended": "a"})], Pair)
    found = preferences_of(load_pairs(tmp_path / "pairs.parquet"))
    assert [one.chosen for one in found.rows] == ["!"]
    assert found.left_out == {"no side is said to be better": 2}


def test_preferences_of_another_run_keep_their_probability(tmp_path: Path) -> None:
    """A table of preferences is read with its labels, and with what was left open."""
    told = Preference(
        id="x",
        prompt=make_prompt("What now?", "helpful"),
        chosen="This.",
        rejected="That",
        p_chosen=0.65,
        source="on_policy",
        verdicts=(),
        pair="y",
        chosen_side="b",
        p_judge=0.65,
        position_bias=0.0,
        whole_rejected=False,
    )
    write_table(tmp_path / "preferences.parquet", [told], Preference)
    (one,) = preferences_of(load_pairs(tmp_path / "preferences.parquet")).rows
    assert (one.chosen, one.rejected, one.p_chosen) == ("This.", "That", 0.65)
    assert (one.whole_chosen, one.whole_rejected, one.source) == (True, False, PEOPLE)
