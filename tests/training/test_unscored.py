"""What stands in for rewards that are missing: by hand, and properties."""

from __future__ import annotations

import math
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.errors import TooManyFailures
from charter.training.rollouts import Reward
from charter.training.unscored import count_unscored, filled, require_scores, said, unscored_figure

MAYBE = st.none() | st.floats(-5, 5) | st.just(math.nan)


def test_a_missing_score_is_that_of_its_group() -> None:
    """The mean of the others of the same prompt; where there is none of them, all are alike."""
    scores = [0.5, 0.6, None, 0.4, None, None, None, None, math.nan, 1.0, math.inf, 3.0]
    expected = [0.5, 0.6, 0.5, 0.4, 0.0, 0.0, 0.0, 0.0, 2.0, 1.0, 2.0, 3.0]
    assert filled(scores, 4) == pytest.approx(expected)


@given(st.integers(2, 5), st.integers(1, 4), st.data())
def test_what_is_said_stays_and_moves_no_mean(n_samples: int, n_groups: int, data: st.DataObject) -> None:
    """Each group's mean is that of what was said of it, so that what is missing has no advantage."""
    scores = data.draw(st.lists(MAYBE, min_size=n_samples * n_groups, max_size=n_samples * n_groups))
    found = filled(scores, n_samples)
    assert len(found) == len(scores)
    for start in range(0, len(scores), n_samples):
        group, told = found[start : start + n_samples], said(scores[start : start + n_samples])
        assert fmean(group) == pytest.approx(fmean(told) if told else 0.0)
    kept = [now for now, was in zip(found, scores, strict=True) if said([was])]
    assert kept == said(scores)


def test_what_was_missing_is_counted_over_all_steps() -> None:
    """By reward; steps that drew nothing, and rewards that always said something, do not count."""
    steps = [
        {"loss": 1.0, unscored_figure("judge"): 2.0, unscored_figure("length"): 0.0},
        {"loss": 1.0},
        {"loss": 1.0, unscored_figure("judge"): 1.0, "rewards/judge/mean": 4.0},
    ]
    assert count_unscored(steps) == {"judge": 3}


@pytest.mark.parametrize(
    ("missing", "is_last", "is_refused"),
    [
        ([8.0] * 9, False, False),  # too few draws to say
        ([8.0] * 9, True, True),
        ([8.0] * 10, False, True),
        ([4.0] * 10, True, False),  # a half
        ([4.0] * 9 + [5.0], False, True),
        ([8.0] * 6 + [0.0] * 6, False, False),  # long ago
        ([], True, False),
    ],
)
def test_more_than_half_of_ten_draws_end_a_training(missing: list[float], is_last: bool, is_refused: bool) -> None:
    """Or of all draws where they are fewer; other rewards' and steps without a draw do not count."""
    told = [{unscored_figure("judge"): n, unscored_figure("length"): 0.0} for n in missing]
    steps = [one for step in told for one in (step, {"loss": 1.0})]
    length, judge = (Reward(name, said, 1.0, {}) for name in ("length", "judge"))  # type: ignore[arg-type]
    require_scores(steps, length, 8, is_last=is_last)
    if not is_refused:
        require_scores(steps, judge, 8, is_last=is_last)
        return
    with pytest.raises(TooManyFailures, match="the reward 'judge' said nothing of"):
        require_scores(steps, judge, 8, is_last=is_last)
