"""Agreement of two raters' labels: the matrix, the share and kappa, each with what bounds it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.statistics import (
    cohen_kappa,
    confusion_matrix,
    kappa_interval,
    label_agreement,
    rate_interval,
    statistic_interval,
)

FIRST = ["yes", "no", "yes", "no", "yes", "no", "maybe", "no", "yes", "yes"]
SECOND = ["yes", "no", "no", "no", "yes", "yes", "maybe", "no", "yes", "maybe"]
GROUPS = [0, 0, 1, 1, 2, 3, 4, 5, 6, 6]


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_kappa_is_bounded_as_any_statistic_is(groups: list[int] | None) -> None:
    """Tables that are added up give the bootstrap of the rows themselves, draw by draw."""
    slow = statistic_interval(
        lambda rows: cohen_kappa([FIRST[row] for row in rows], [SECOND[row] for row in rows]),
        len(FIRST),
        groups=groups,
        n_resamples=300,
        limits=(-1.0, 1.0),
    )
    found = kappa_interval(FIRST, SECOND, groups=groups, n_resamples=300)
    assert (found.value, found.n, found.n_groups) == (slow.value, slow.n, slow.n_groups)
    assert (found.low, found.high) == pytest.approx((slow.low, slow.high), abs=1e-12)


def test_all_three_are_of_the_same_rows() -> None:
    """The matrix, the share and kappa are those of their own functions."""
    found = label_agreement(FIRST, SECOND, labels=["yes", "maybe", "no"], groups=GROUPS)
    assert found.matrix == confusion_matrix(FIRST, SECOND, labels=["yes", "maybe", "no"])
    same = [one == other for one, other in zip(FIRST, SECOND, strict=True)]
    assert found.agreement == rate_interval(same, groups=GROUPS)
    assert found.kappa == kappa_interval(FIRST, SECOND, groups=GROUPS)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=30))
def test_kappa_does_not_depend_on_who_is_first(pairs: list[tuple[str, str]]) -> None:
    """Cohen's kappa is the same either way round, and never more than 1."""
    first, second = zip(*pairs, strict=True)
    one = kappa_interval(first, second, n_resamples=50)
    assert one.value == pytest.approx(kappa_interval(second, first, n_resamples=50).value)
    assert one.value <= 1.0
    assert one.low is None or one.high is None or -1.0 <= one.low <= one.high <= 1.0


def test_few_groups_bound_nothing() -> None:
    """Two prompts, however many rows they have, say nothing of others."""
    found = kappa_interval(FIRST * 10, SECOND * 10, groups=[0, 1] * 50)
    assert (found.low, found.high, found.n_groups) == (None, None, 2)


def test_many_rows_are_bounded_closely() -> None:
    """Twenty thousand rows bound kappa to a few hundredths."""
    chance = np.random.default_rng(0)
    first = chance.choice(["a", "b", "c"], 20_000).tolist()
    second = [one if keep else "a" for one, keep in zip(first, chance.random(20_000) < 0.8, strict=True)]
    found = kappa_interval(first, second)
    assert found.low is not None
    assert found.high is not None
    assert found.value - 0.02 < found.low < found.value < found.high < found.value + 0.02


def test_rows_must_pair_up() -> None:
    """Labels that are not paired are refused."""
    with pytest.raises(ValueError, match="2 true and 1 predicted labels"):
        label_agreement(["a", "b"], ["a"])
