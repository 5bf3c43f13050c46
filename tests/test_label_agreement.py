"""Agreement of two raters' labels: the matrix, the share and kappa, each with what bounds it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.statistics import (
    alpha_interval,
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


#: Four observers of twelve units, some missing. Source: Krippendorff 2011, section C, whose nominal alpha is 0.743.
OBSERVERS = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
#: Two observers of ten units. Source: the same, section A, whose alpha is 0.095.
TWO_OBSERVERS = ("0100000010", "1110010000")


@pytest.mark.parametrize(("observers", "published"), [(OBSERVERS, 0.743), (TWO_OBSERVERS, 0.095)])
def test_alpha_is_the_published_one(observers: tuple[str, ...], published: float) -> None:
    """Of the examples that its author gives."""
    units = [[label for label in unit if label != "."] for unit in zip(*observers, strict=True)]
    found = alpha_interval(units)
    assert found is not None
    assert round(found.value, 3) == published
    assert found.n == sum(len(unit) > 1 for unit in units)


def slow_alpha(units: list[list[str]]) -> float:
    """Compute alpha by its definition: pairs of labels within units, over pairs of all labels."""
    units = [unit for unit in units if len(unit) > 1]
    every = [label for unit in units for label in unit]
    observed = sum(
        sum(unit[i] != unit[j] for i in range(len(unit)) for j in range(len(unit)) if i != j) / (len(unit) - 1)
        for unit in units
    ) / len(every)
    expected = sum(every[i] != every[j] for i in range(len(every)) for j in range(len(every)) if i != j)
    expected /= len(every) * (len(every) - 1)
    return 1 - observed / expected if expected else 0.0


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=4), min_size=1, max_size=8))
def test_alpha_is_its_definition(units: list[list[str]]) -> None:
    """Tables of coincidences give what counting pairs gives; without two labels of a unit there is none."""
    found = alpha_interval(units, n_resamples=2)
    if all(len(unit) < 2 for unit in units):
        assert found is None
    else:
        assert found is not None
        assert found.value == pytest.approx(slow_alpha(units))


def test_alpha_is_bounded_over_groups() -> None:
    """Tables that are added up give the bootstrap of the units, and those of one group are not independent."""
    rng = np.random.default_rng(1)
    units = [[str(label), str(label if rng.random() < 0.7 else rng.integers(3))] for label in rng.integers(3, size=60)]
    alone = alpha_interval(units)
    assert alone is not None
    slow = statistic_interval(lambda rows: slow_alpha([units[row] for row in rows]), len(units), limits=(-1.0, 1.0))
    assert (alone.low, alone.high) == (pytest.approx(slow.low), pytest.approx(slow.high))
    twice = alpha_interval([*units, *units], groups=[*range(60), *range(60)])
    assert twice is not None
    assert twice.n_groups == 60
    assert twice.low == pytest.approx(alone.low, abs=0.02)
