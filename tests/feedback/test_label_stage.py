"""What the label stage counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.engines.base import ChoiceRequest
from charter.engines.scripted import ScriptedEngine
from charter.feedback.labels import judge_pairs
from charter.feedback.settling import EXACT_TIE, LOW_MARGIN, NO_VERDICT, Settling, settle_all
from charter.files.tables import read_table
from charter.records import Pair, Preference, Side, Unlabelled, make_prompt
from charter.stages.label import count_labels
from method_examples import PLAIN
from run_examples import small_run

WAYS: dict[str, dict[str, Any]] = {
    "swap": {},
    "drop": {"on_disagreement": "drop"},
    "keep": {"on_disagreement": "keep"},
    "prior": {"prior": {"guided_vs_plain": 0.8}},
}
MARGIN = 0.2


def _settled(way: str, **more: Any) -> list[Preference | Unlabelled]:
    """Judge pairs by a judge of the texts' order; every third intends a, every third b, every third neither."""
    sides: tuple[Side | None, ...] = ("a", "b", None)
    rows = [
        Pair(
            id=f"pair-{number}",
            prompt=make_prompt("How?", "red_team"),
            a=f"answer {number % 7}",
            b=f"answer {number % 5}",
            source="guided_vs_plain",
            intended=sides[number % 3],
        )
        for number in range(60)
    ]
    judged = judge_pairs(rows, PLAIN, ScriptedEngine(), k_principles=1)
    return list(settle_all(judged.done, Settling(**WAYS[way], **more)))


def _labels(settled: list[Preference | Unlabelled]) -> list[Preference]:
    return [one for one in settled if isinstance(one, Preference)]


COUNTS = {way: count_labels(_settled(way), Settling()) for way in WAYS}


@pytest.mark.parametrize("way", WAYS)
def test_every_pair_with_an_intention_is_counted(way: str) -> None:
    """Agreement, disagreement and ties add up to the pairs that intend a side, whatever becomes of them."""
    stances = ("agrees with", "disagrees with", "undecided about")
    counted = [COUNTS[way][f"{stance} the source"] for stance in stances]
    assert sum(counted) == 40
    assert all(counted)


@pytest.mark.parametrize("way", WAYS)
def test_the_judge_disagrees_as_often_whatever_is_done_about_it(way: str) -> None:
    """A dropped pair, a kept side and a prior change no judgement, and so not its count."""
    assert COUNTS[way]["disagrees with the source"] == COUNTS["swap"]["disagrees with the source"]


def test_labels_against_the_intention_are_counted() -> None:
    """By the judge alone each disagreement is a flip; a prior outweighs some of them, ``keep`` all."""
    flips = {way: COUNTS[way]["chosen against the intention"] for way in WAYS}
    # A tie keeps a, and so goes against some intentions too.
    assert flips["swap"] >= COUNTS["swap"]["disagrees with the source"]
    assert flips["keep"] == 0
    assert 0 < flips["prior"] < flips["swap"]
    rows = _labels(_settled("prior"))
    assert flips["prior"] == sum(one.intended is not None and one.chosen_side != one.intended for one in rows)
    assert all(0.5 <= one.p_chosen <= 1.0 for one in rows)


@pytest.mark.parametrize("way", WAYS)
def test_unsure_labels_are_counted_whatever_becomes_of_them(way: str) -> None:
    """Ties and low margins are as many whether they are kept, weighed or dropped; dropped ones say which they were."""
    counts = []
    for policy in ("keep", "weigh", "drop"):
        options: dict[str, Any] = {"min_margin": MARGIN, "on_low_margin": policy}
        settled = _settled(way, **options)
        counted = count_labels(settled, Settling(**options))
        counts.append((counted["exact ties"], counted["low margins"]))
        reasons = [one.reason for one in settled if isinstance(one, Unlabelled)]
        n_dropped = tuple(reasons.count(reason) for reason in (EXACT_TIE, LOW_MARGIN))
        assert n_dropped == (counts[0] if policy == "drop" else (0, 0))
        assert any(one.weight < 1 for one in _labels(settled)) == (policy == "weigh")
        for stance in ("agrees with", "disagrees with", "undecided about"):  # whatever became of the label
            assert counted[f"{stance} the source"] == COUNTS[way][f"{stance} the source"]
    assert counts[0] == counts[1] == counts[2]
    assert counts[0][1] > 0


def test_exact_ties_are_counted_without_a_least_margin() -> None:
    """A judge that finds equal texts equal gives ties, which are no low margins where none is too low."""
    assert COUNTS["swap"]["exact ties"] == sum(one.p_chosen == 0.5 for one in _labels(_settled("swap"))) > 0
    assert COUNTS["swap"]["low margins"] == 0


def test_verdicts_on_pairs_without_a_label_are_counted() -> None:
    """A judge that reads half of the pairs: what it cannot read is counted, and no label is made of it."""
    rows = [
        Pair(id=f"{n}", prompt=make_prompt("How?", "red_team"), a=f"{'un' * (n % 2)}read {n}", b="x", source="s")
        for n in range(10)
    ]

    def preference(request: ChoiceRequest) -> tuple[float, float]:
        is_lost = request.messages is not None and "unread" in request.messages[-1].content
        return (0.1, 0.1) if is_lost else (0.7, 0.3)

    judged = judge_pairs(rows, PLAIN, ScriptedEngine(preference=preference, script="half"), k_principles=1)
    settled = list(settle_all(judged.done, Settling()))
    counts = count_labels(settled, Settling())
    assert (counts["verdicts"], counts["invalid verdicts"]) == (20, 10)
    lost = [one for one in settled if isinstance(one, Unlabelled)]
    assert {one.reason for one in lost} == {NO_VERDICT}
    assert all(len(one.verdicts) == 2 for one in lost)
    assert counts["undecided about the source"] == 0


def test_what_got_no_label_lies_in_a_table_of_its_own(tmp_path: Path) -> None:
    """With its reason and every vote; nothing of it is among the preferences, and the summary adds up."""
    stages = ["prompts", "revise", "sft", "pairs", "label"]
    folder = small_run(tmp_path, stages, "label.min_margin=0.1", "label.on_low_margin=drop", "pairs.n=24")
    told = json.loads((folder / "stages/label.json").read_text("utf-8"))
    kept = read_table(folder / "data/preferences.parquet", Preference)
    left = read_table(folder / "data/unlabelled.parquet", Unlabelled)
    pairs = {pair.id for pair in read_table(folder / "data/pairs.parquet", Pair)}
    assert {one.pair for one in kept} | {one.id for one in left} == pairs
    assert len(kept) + len(left) == len(pairs) == told["n_in"]
    assert (told["n_done"], sum(told["filtered"].values())) == (len(kept), len(left))
    assert kept
    assert {one.reason for one in left} == {LOW_MARGIN}
    assert told["counts"]["verdicts"] == sum(len(one.verdicts) for one in (*kept, *left))
    assert all(one.p_a is not None and abs(one.p_a - 0.5) < 0.1 for one in left)
