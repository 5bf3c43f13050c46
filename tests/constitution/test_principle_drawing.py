"""Weights act where principles are drawn, once: on the draw as far as it goes, on the vote for the rest."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from charter.constitution.drawing import draw_principle, draw_principles
from charter.constitution.model import Principle
from method_examples import CONSTITUTION

N = 6000
WEIGHTS = st.lists(st.floats(0.01, 100.0), min_size=1, max_size=8)


def _weighted(*weights: float) -> tuple[Principle, ...]:
    like = CONSTITUTION.principles[0]
    return tuple(like.model_copy(update={"id": f"p{n}", "weight": weight}) for n, weight in enumerate(weights))


def test_one_is_drawn_by_weight() -> None:
    """A principle of three times the weight is drawn three times as often."""
    counts = Counter(draw_principle(_weighted(1, 3, 2), seed).id for seed in range(N))
    assert stats.chisquare([counts[f"p{n}"] for n in range(3)], [N / 6, N / 2, N / 3]).pvalue > 1e-4


@pytest.mark.parametrize("k", [1, 2, 3])
def test_several_are_drawn_by_weight(k: int) -> None:
    """Each is among the k drawn in proportion to its weight, never twice, and the drawn count alike."""
    weights = (1.0, 3.0, 2.0, 1.5, 2.5)
    counts: Counter[str] = Counter()
    for seed in range(N):
        drawn = draw_principles(_weighted(*weights), k, seed)
        assert len({one.id for one in drawn}) == k
        assert len({one.weight for one in drawn}) == 1
        counts.update(one.id for one in drawn)
    for n, weight in enumerate(weights):
        share = k * weight / sum(weights)
        assert counts[f"p{n}"] / N == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / N))


@pytest.mark.parametrize("name", ["start", "start-of-the-line"])
def test_no_name_is_drawn_more_often_than_its_weight(name: str) -> None:
    """Where a principle stands on the line and where the line is cut have nothing to do with each other."""
    weights = (1.0, 1.5, 1.0, 1.2, 1.3)
    first, *others = _weighted(*weights)
    principles = (first.model_copy(update={"id": name}), *others)
    n_drawn = sum(name in {one.id for one in draw_principles(principles, 2, seed)} for seed in range(N))
    assert n_drawn / N == pytest.approx(2 * weights[0] / sum(weights), abs=0.03)


def test_one_that_is_too_heavy_is_always_drawn_and_counts_for_more() -> None:
    """With half of all weight it would be drawn once of two draws and more: then its vote weighs what it weighs."""
    for seed in range(200):
        first, second = draw_principles(_weighted(1, 8, 1, 2), 2, seed)
        assert (first.id, first.weight) == ("p1", 8)
        assert (second.id != "p1", second.weight) == (True, 4)


@given(weights=WEIGHTS, k=st.integers(1, 9), seed=st.integers(0, 2**56 - 1))
def test_the_drawn_stand_for_all(weights: list[float], k: int, seed: int) -> None:
    """Whatever is drawn, k different principles come, and their weights add up alike for every draw."""
    principles = _weighted(*weights)
    drawn = draw_principles(principles, k, seed)
    again = draw_principles(principles, k, seed)
    assert drawn == again
    assert len({one.id for one in drawn}) == len(drawn) == min(k, len(weights))
    if k >= len(weights):
        assert {one.id: one.weight for one in drawn} == {one.id: one.weight for one in principles}
    elif len(set(weights)) > 1:
        assert sum(one.weight for one in drawn) == pytest.approx(sum(weights))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_the_mean_vote_is_that_of_all_principles(k: int) -> None:
    """For every k the weighted mean of the drawn votes is, over many rows, the weighted mean of all votes."""
    principles = _weighted(1, 9, 2, 0.5, 4)
    votes = dict(zip((one.id for one in principles), (0.9, 0.2, 0.5, 0.1, 0.7), strict=True))

    def mean(drawn: tuple[Principle, ...]) -> float:
        return sum(one.weight * votes[one.id] for one in drawn) / sum(one.weight for one in drawn)

    found = [mean(draw_principles(principles, k, seed)) for seed in range(N)]
    error = math.sqrt(sum((one - mean(principles)) ** 2 for one in found)) / N
    assert sum(found) / N == pytest.approx(mean(principles), abs=5 * error + 1e-12)


def test_any_two_can_be_drawn_together() -> None:
    """Principles that stand side by side in the file are drawn together as others are."""
    principles = _weighted(1, 1, 1.1, 1, 1, 1.1)
    together = Counter(frozenset(one.id for one in draw_principles(principles, 2, seed)) for seed in range(N))
    assert len(together) == 15
    neighbours = [together[frozenset((one.id, other.id))] for one, other in pairwise(principles)]
    assert sum(neighbours) / N == pytest.approx(5 / 15, abs=0.05)


@given(weights=st.lists(st.floats(0.01, 100.0), min_size=2, max_size=8), seed=st.integers(0, 2**56 - 1))
def test_one_more_principle_takes_rows_and_moves_no_others(weights: list[float], seed: int) -> None:
    """With another principle in a constitution, wherever it stands, each draw is as before or is that principle."""
    *before, added = _weighted(*weights)
    was, now = draw_principle(before, seed), draw_principle([added, *before], seed)
    assert now in (was, added)


@given(n=st.integers(1, 8), k=st.integers(1, 4), seed=st.integers(0, 2**56 - 1))
def test_one_more_of_the_same_weight_takes_one_place_at_most(n: int, k: int, seed: int) -> None:
    """Of several drawn at once, one makes way for the principle that was added, and only where that one is drawn."""
    *before, added = _weighted(*[1.0] * (n + 1))
    was, now = draw_principles(before, k, seed), draw_principles([added, *before], k, seed)
    kept = tuple(one for one in now if one != added)
    assert kept == was[: len(kept)]
    assert len(kept) == len(was) - (added in now and len(was) == k)


def test_the_order_in_the_file_decides_nothing() -> None:
    """A constitution that is sorted anew draws what it drew."""
    for weights in ((1.0, 1.0, 1.0, 1.0, 1.0), (1.0, 3.0, 2.0, 1.5, 2.5)):
        principles = _weighted(*weights)
        for seed in range(50):
            assert draw_principle(principles, seed) == draw_principle(principles[::-1], seed)
            assert draw_principles(principles, 2, seed) == draw_principles(principles[::-1], 2, seed)
