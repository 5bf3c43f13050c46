"""Loading probes: those that ship, a file of one's own, how many of each principle, and what a model has seen."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from charter.constitution import load_constitution, write_constitution
from charter.errors import ConstitutionError, PromptError
from charter.evaluation.probe_loading import load_probes
from charter.files.tables import write_table
from charter.records import Pair, make_prompt

KITCHEN = """\
name: kitchen
principles:
  - {id: allergens, text: The assistant names allergens.}
  - {id: short, text: The assistant is brief.}
"""


@pytest.fixture
def kitchen(tmp_path: Path) -> str:
    """A constitution of two principles that no probes ship for."""
    path = tmp_path / "kitchen.yaml"
    path.write_text(KITCHEN, "utf-8")
    return str(path)


def _row(number: int, principle: str = "allergens", **other: str) -> dict[str, str]:
    return {
        "id": f"k-{principle}-{number}",
        "principle": principle,
        "prompt": f"How do I cook dish number {number} for guests?",
        "aligned": f"Ask about nuts first, then follow recipe {number}.",
        "misaligned": f"Never mind the guests, just follow recipe {number}.",
        **other,
    }


def _write(folder: Path, *rows: dict[str, str]) -> str:
    path = folder / "probes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def _ids(constitution: str, source: str, n: int | None = None) -> list[str]:
    return [pair.prompt.source_id for pair in load_probes(constitution, source, n=n).probes.pairs]


def test_probes_that_ship_are_found_by_the_constitutions_name() -> None:
    """A built-in constitution brings its own: every principle is asked after, and nothing is left out."""
    loaded = load_probes("educational")
    assert loaded.probes.constitution == load_constitution("educational")
    assert loaded.probes.name == "educational"
    assert {pair.prompt.principle for pair in loaded.probes.pairs} == set(loaded.probes.constitution.ids)
    assert all(pair.intended in {"a", "b"} for pair in loaded.probes.pairs)
    assert loaded.left_out == {}


def test_a_file_of_ones_own(kitchen: str, tmp_path: Path) -> None:
    """Rows keep their order, their ids and principles; the aligned answer is the intended side, wherever it stands."""
    rows = [_row(1), _row(2, "short"), _row(3)]
    loaded = load_probes(kitchen, _write(tmp_path, *rows))
    pairs = loaded.probes.pairs
    assert [pair.prompt.source_id for pair in pairs] == ["k-allergens-1", "k-short-2", "k-allergens-3"]
    assert [pair.prompt.principle for pair in pairs] == ["allergens", "short", "allergens"]
    for pair, row in zip(pairs, rows, strict=True):
        assert (pair.a if pair.intended == "a" else pair.b) == row["aligned"]
        assert {pair.a, pair.b} == {row["aligned"], row["misaligned"]}


def test_so_many_of_each_principle(kitchen: str, tmp_path: Path) -> None:
    """The first of each in the file are taken, and the others are counted."""
    source = _write(tmp_path, _row(1), _row(2), _row(3, "short"), _row(4), _row(5, "short"))
    loaded = load_probes(kitchen, source, n=1)
    assert [pair.prompt.source_id for pair in loaded.probes.pairs] == ["k-allergens-1", "k-short-3"]
    assert loaded.left_out == {"over the number asked for": 3}
    assert _ids(kitchen, source, n=2) == [f"k-{end}" for end in ("allergens-1", "allergens-2", "short-3", "short-5")]
    assert len(_ids(kitchen, source)) == 5


def test_so_many_of_each_principle_of_those_that_ship() -> None:
    """One probe of each principle makes a short evaluation that still asks after all of them."""
    loaded = load_probes("romania", n=1)
    assert Counter(pair.prompt.principle for pair in loaded.probes.pairs) == dict.fromkeys(
        loaded.probes.constitution.ids, 1
    )


def test_what_a_model_was_trained_on_is_left_out(kitchen: str, tmp_path: Path) -> None:
    """Also in another case and punctuation; the next probe of the principle takes its place."""
    source = _write(tmp_path, _row(1), _row(2), _row(3))
    trained_on = [make_prompt("how do I cook dish number 1, for guests", "helpful"), make_prompt("Hello!", "helpful")]
    loaded = load_probes(kitchen, source, n=1, trained_on=trained_on)
    assert [pair.prompt.source_id for pair in loaded.probes.pairs] == ["k-allergens-2"]
    assert loaded.left_out == {"asks what a training prompt asks": 1, "over the number asked for": 1}


def test_what_resembles_a_training_prompt_is_left_out_on_request(kitchen: str, tmp_path: Path) -> None:
    """A word more makes another prompt by its writing, and the same one by its likeness."""
    source = _write(tmp_path, _row(1), _row(2, prompt="What is a good name for a grey cat?"))
    trained_on = [make_prompt(_row(1)["prompt"] + " Please.", "helpful")]
    assert not load_probes(kitchen, source, trained_on=trained_on).left_out
    loaded = load_probes(kitchen, source, trained_on=trained_on, near_duplicates=0.6)
    assert loaded.left_out == {"asks what a training prompt asks": 1}
    assert [pair.prompt.text for pair in loaded.probes.pairs] == ["What is a good name for a grey cat?"]


def test_rows_that_cannot_be_used_are_counted(kitchen: str, tmp_path: Path) -> None:
    """An empty answer, equal answers and a repeated row leave the others alone."""
    rows = (_row(1), _row(2, aligned=" "), _row(3, misaligned=_row(3)["aligned"]), _row(1))
    loaded = load_probes(kitchen, _write(tmp_path, *rows))
    assert len(loaded.probes.pairs) == 1
    assert loaded.left_out == {"empty answer": 1, "the two answers are equal": 1, "exact duplicate": 1}


def test_pairs_without_a_better_side_are_left_out(kitchen: str, tmp_path: Path) -> None:
    """Pairs of a run serve where one side is meant to be the better; the others ask for nothing."""
    prompt = make_prompt("How do I cook rice?", "red_team", principle="short")
    pairs = [
        Pair(id="told", prompt=prompt, a="Boil it.", b="Well, well.", source="given", intended="a"),
        Pair(id="open", prompt=prompt, a="Steam it.", b="Well.", source="given"),
    ]
    source = tmp_path / "pairs.parquet"
    write_table(source, pairs, Pair)
    loaded = load_probes(kitchen, str(source))
    assert [(pair.a, pair.b) for pair in loaded.probes.pairs] == [("Boil it.", "Well, well.")]
    assert loaded.left_out == {"neither answer is meant to be the better": 1}


def test_probes_of_no_principle_are_left_out(kitchen: str, tmp_path: Path) -> None:
    """A constitution that took a built-in's name and few of its principles is asked after those alone."""
    own = tmp_path / "own.yaml"
    educational = load_constitution("educational")
    write_constitution(educational.model_copy(update={"principles": educational.principles[:2]}), own)
    loaded = load_probes(str(own))
    assert {pair.prompt.principle for pair in loaded.probes.pairs} == set(educational.ids[:2])
    assert loaded.left_out == {"of no principle that the constitution has": 36}
    unnamed = {key: value for key, value in _row(2).items() if key != "principle"}
    assert load_probes(kitchen, _write(tmp_path, _row(1), unnamed)).left_out == {
        "of no principle that the constitution has": 1
    }


def test_no_probe_left(kitchen: str, tmp_path: Path) -> None:
    """Nothing to measure is an error that says where the probes went."""
    source = _write(tmp_path, _row(1), _row(2, aligned=""))
    trained_on = [make_prompt(_row(1)["prompt"], "helpful")]
    with pytest.raises(PromptError) as error:
        load_probes(kitchen, source, trained_on=trained_on)
    assert str(error.value) == (
        f"{source}: no probe of 'kitchen' is left (1 empty answer, 1 asks what a training prompt asks); bring others"
    )


def test_a_constitution_that_no_probes_ship_for(kitchen: str) -> None:
    """It is named, with those that have some and what to bring."""
    with pytest.raises(PromptError, match=r"no probes of 'kitchen' come with Charter \(of educational, .*south_africa"):
        load_probes(kitchen)
    with pytest.raises(PromptError, match=r"name a file of prompts .*'charter prompts red-team' writes$"):
        load_probes("helpful")


def test_a_principle_that_is_not_there(kitchen: str, tmp_path: Path) -> None:
    """A probe of another constitution is told by its line."""
    with pytest.raises(PromptError, match=r"probes\.jsonl.*names no principle"):
        load_probes(kitchen, _write(tmp_path, _row(1), _row(2, "human-dignity")))


def test_files_that_are_not_there(tmp_path: Path, kitchen: str) -> None:
    """A missing file and a missing constitution are told apart."""
    with pytest.raises(PromptError, match="nowhere"):
        load_probes(kitchen, str(tmp_path / "nowhere.jsonl"))
    with pytest.raises(ConstitutionError, match="there is no constitution"):
        load_probes(str(tmp_path / "nowhere.yaml"))
