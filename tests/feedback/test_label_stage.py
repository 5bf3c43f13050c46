"""What the label stage counts."""

from __future__ import annotations

from typing import Any

import pytest

from charter.engines.scripted import ScriptedEngine
from charter.feedback import label
from charter.feedback.settling import EXACT_TIE, LOW_MARGIN, Settling
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
MARGIN = 0.2


def _labelled(way: str, **more: Any) -> Mapped[Preference]:
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
    return label(rows, PLAIN, ScriptedEngine(), k_principles=1, **WAYS[way], **more)


COUNTS = {way: count_labels(_labelled(way), Settling()) for way in WAYS}


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


@pytest.mark.parametrize("way", WAYS)
def test_unsure_labels_are_counted_whatever_becomes_of_them(way: str) -> None:
    """Ties and low margins are as many whether they are kept, weighed or dropped; dropped ones say which they were."""
    counts = []
    for policy in ("keep", "weigh", "drop"):
        options: dict[str, Any] = {"min_margin": MARGIN, "on_low_margin": policy}
        mapped = _labelled(way, **options)
        counted = count_labels(mapped, Settling(**options))
        counts.append((counted["exact ties"], counted["low margins"]))
        n_dropped = tuple(list(mapped.filtered.values()).count(reason) for reason in (EXACT_TIE, LOW_MARGIN))
        assert n_dropped == (counts[0] if policy == "drop" else (0, 0))
        assert any(one.weight < 1 for one in mapped.done) == (policy == "weigh")
    assert counts[0] == counts[1] == counts[2]
    assert counts[0][1] > 0


def test_exact_ties_are_counted_without_a_least_margin() -> None:
    """A judge that finds equal texts equal gives ties, which are no low margins where none is too low."""
    assert COUNTS["swap"]["exact ties"] == sum(one.p_chosen == 0.5 for one in _labelled("swap").done) > 0
    assert COUNTS["swap"]["low margins"] == 0
