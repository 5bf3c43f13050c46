"""Figures of a preference model: against arithmetic by hand, and against a model that is calibrated by making."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from charter.records import RewardedPair, make_prompt
from charter.statistics import rank_correlation
from charter.training.reward_quality import measure_rewards, p_preferred


def pair(number: int, chosen: float, rejected: float, **changed: Any) -> RewardedPair:
    """Make a pair with its rewards."""
    told: dict[str, Any] = {
        "p_chosen": 0.8,
        "source": "on_policy",
        "group": f"group-{number}",
        "held_out": True,
        "n_tokens_chosen": 10,
        "n_tokens_rejected": 20,
    }
    kind = changed.pop("kind", "red_team")
    return RewardedPair(
        id=f"preference-{number}",
        prompt=make_prompt(f"Question {number}?", kind),
        chosen="Yes.",
        rejected="No.",
        reward_chosen=chosen,
        reward_rejected=rejected,
        **{**told, **changed},
    )


def test_figures_are_what_they_say() -> None:
    """Five pairs, counted by hand: a tie of the label, one of the rewards, one wrong, two right."""
    rows = [
        pair(0, 1.0, 0.0),
        pair(1, 2.0, 2.5, source="people", kind="helpful", p_chosen=1.0),
        pair(2, 0.5, 0.5, n_tokens_chosen=30),
        pair(3, 3.0, 1.0, n_tokens_chosen=20),
        pair(4, 3.0, 1.0, p_chosen=0.5),
    ]
    found = measure_rewards(rows)
    assert found is not None
    assert (found.n, found.n_groups, found.n_ties) == (5, 5, 1)
    assert found.accuracy is not None
    assert (found.accuracy.value, found.accuracy.n) == (2.5 / 4, 4)
    assert found.where_shorter is not None
    assert (found.where_shorter.value, found.where_shorter.n) == (0.5, 2)
    assert found.where_longer is not None
    assert (found.where_longer.value, found.where_longer.n) == (0.5, 1)
    p = [1 / (1 + math.exp(-margin)) for margin in (1.0, -0.5, 0.0, 2.0, 2.0)]
    labels = [0.8, 1.0, 0.8, 0.8, 0.5]
    assert found.brier.value == pytest.approx(sum((a - b) ** 2 for a, b in zip(p, labels, strict=True)) / 5)
    assert {name: one.value for name, one in found.by_source.items() if one} == {"on_policy": 2.5 / 3, "people": 0.0}
    assert {name: one.n for name, one in found.by_kind.items() if one} == {"red_team": 3, "helpful": 1}
    sides = [(row.reward_chosen, row.n_tokens_chosen) for row in rows]
    sides += [(row.reward_rejected, row.n_tokens_rejected) for row in rows]
    expected = stats.spearmanr(*zip(*sides, strict=True)).statistic
    assert found.length_correlation.value == pytest.approx(expected, abs=1e-12)
    # The side that is preferred, its probability and what the label says of it, in bins of a twentieth:
    gaps = [(p[0], 0.8), (1 - p[1], 0.0), (0.5, 0.8)]
    both = ((p[3] + p[4]) / 2, (0.8 + 0.5) / 2)
    expected = (sum(abs(a - b) for a, b in gaps) + 2 * abs(both[0] - both[1])) / 5
    assert found.ece == pytest.approx(expected, abs=1e-12)
    json.dumps(found.to_json(), allow_nan=False)


def test_a_calibrated_model_is_found_calibrated() -> None:
    """Where labels are what the rewards' difference says, no gap is found; with doubled rewards one is."""
    chance = random.Random(1)  # noqa: S311 - no secret
    margins = [chance.uniform(0.0, 3.0) for _ in range(400)]
    right = [pair(number, one, 0.0, p_chosen=p_preferred(one)) for number, one in enumerate(margins)]
    sure = [pair(number, 2 * one, 0.0, p_chosen=p_preferred(one)) for number, one in enumerate(margins)]
    found, other = measure_rewards(right), measure_rewards(sure)
    assert found is not None
    assert other is not None
    assert (found.ece, found.brier.value) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert other.ece > 0.05
    assert other.brier.value > 0.005


def test_groups_are_resampled_whole() -> None:
    """Twenty copies of eight groups say no more than the eight: the interval is as wide, and far from that of 160."""
    rows = [pair(number, float(number % 3), 0.7, group=f"group-{number}") for number in range(8)]
    copies = [row.model_copy(update={"id": f"{row.id}-{copy}"}) for row in rows for copy in range(20)]
    alone = [row.model_copy(update={"group": row.id}) for row in copies]
    widths = []
    for some in (rows, copies, alone):
        found = measure_rewards(some)
        assert found is not None
        assert found.accuracy is not None
        assert found.accuracy.low is not None
        assert found.accuracy.high is not None
        widths.append(found.accuracy.high - found.accuracy.low)
    assert widths[1] > 0.8 * widths[0]
    assert widths[2] < 0.4 * widths[0]


def test_no_pairs_have_no_figures() -> None:
    """Nothing held out is nothing measured; ties alone have no accuracy."""
    assert measure_rewards([]) is None
    found = measure_rewards([pair(0, 1.0, 0.0, p_chosen=0.5)])
    assert found is not None
    assert found.accuracy is None


@pytest.mark.parametrize("margin", [-2000.0, -1.0, 0.0, 3.0, 2000.0])
def test_probabilities_of_swapped_pairs_add_up(margin: float) -> None:
    """P(a is better) and P(b is better) are 1 together, at any distance."""
    assert p_preferred(margin) + p_preferred(-margin) == pytest.approx(1.0, abs=1e-15)
    if abs(margin) < 100:
        assert p_preferred(margin) == pytest.approx(1 / (1 + math.exp(-margin)), abs=1e-15)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=30))
def test_rank_correlation_equals_scipy(rows: list[tuple[int, int]]) -> None:
    """Ties share the mean of their ranks; where scipy has no answer, nothing goes with anything."""
    one, other = zip(*rows, strict=True)
    found = rank_correlation(one, other)
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert found == 0.0
    else:
        assert found == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-12)
    with pytest.raises(ValueError, match="expected as many"):
        rank_correlation([*one, 1], other)
