"""What the label stage counts."""

from __future__ import annotations

from typing import Any

import pytest

from charter.engines.scripted import ScriptedEngine
from charter.feedback import label
from charter.records import Pair, Preference, Side, make_prompt
from charter.rows import Mapped
from charter.stages.label import count_labels
from method_examples import PLAIN

WAYS: dict[str, dict[str, Any]] = {
    "swap": {},
    "drop": {"on_disagreement": "drop"},
    "keep": {"on_disagreement": "keep"},
    "prior": {"prior": {"guided_vs_plain": 0.8}},
}


def _labelled(way: str) -> Mapped[Preference]:
    """Label pairs by a judge of the texts' order; every third intends a, every third b, every third neither."""
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
    return label(rows, PLAIN, ScriptedEngine(), k_principles=1, **WAYS[way])


COUNTS = {way: count_labels(_labelled(way)) for way in WAYS}


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
    rows = _labelled("prior").done
    assert flips["prior"] == sum(one.intended is not None and one.chosen_side != one.intended for one in rows)
    assert all(0.5 <= one.p_chosen <= 1.0 for one in rows)
