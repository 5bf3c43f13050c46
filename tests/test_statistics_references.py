"""Statistics against statsmodels, an implementation by others, on random data."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from charter.statistics import (
    confusion_matrix,
    holm,
    mean_interval,
    paired_mean_difference,
    paired_rate_difference,
    wilson_interval,
)

SEEDS = range(20)
NAMES = ("a", "b", "c")


def rng_of(seed: int) -> np.random.Generator:
    """A stream of its own."""
    return np.random.default_rng([seed, 7])


@pytest.mark.parametrize("seed", SEEDS)
def test_wilson(seed: int) -> None:
    """A rate's interval."""
    rng = rng_of(seed)
    n = int(rng.integers(1, 500))
    successes = int(rng.integers(0, n + 1))
    for confidence in (0.8, 0.95, 0.99):
        found = wilson_interval(successes, n, confidence=confidence)
        low, high = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_mcnemar(seed: int) -> None:
    """The exact test of a change of rates."""
    rng = rng_of(seed)
    before, after = (rng.random(80) < rng.uniform(0.2, 0.8) for _ in range(2))
    table = [[int(((before == one) & (after == other)).sum()) for other in (True, False)] for one in (True, False)]
    found = paired_rate_difference(before.astype(float), after.astype(float))
    assert found.p_value == pytest.approx(mcnemar(table, exact=True).pvalue, abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_holm(seed: int) -> None:
    """P-values of a family."""
    p_values = rng_of(seed).random(12) ** 3
    assert holm(list(p_values)) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_kappa(seed: int) -> None:
    """Agreement of two raters beyond chance, who agree more often than not."""
    rng = rng_of(seed)
    first = rng.choice(NAMES, 60)
    second = np.where(rng.random(60) < 0.6, first, rng.choice(NAMES, 60))
    found = confusion_matrix(list(first), list(second), labels=NAMES)
    assert found.kappa == pytest.approx(cohens_kappa(np.array(found.counts)).kappa, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mean_of_groups(seed: int) -> None:
    """A clustered mean's interval is as wide as that of cluster-robust errors, but for the bootstrap's own scatter."""
    rng = rng_of(seed)
    sizes = rng.integers(1, 6, size=60)
    groups = np.repeat(np.arange(60), sizes)
    values = rng.normal(size=60)[groups] + rng.normal(size=len(groups))
    found = mean_interval(values, groups=list(groups))
    fitted = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    low, high = fitted.conf_int()[0]
    assert found.value == pytest.approx(fitted.params[0])
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(high - low, rel=0.15)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_change_of_means(seed: int) -> None:
    """A paired difference and its test are near those of a t-test of the differences."""
    rng = rng_of(seed)
    before = rng.normal(size=80)
    after = before + rng.normal(0.2, 0.8, size=80)
    found = paired_mean_difference(before, after)
    told = sm.stats.DescrStatsW(after - before)
    low, high = told.tconfint_mean()
    assert found.difference == pytest.approx(told.mean)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05)
    assert found.p_value == pytest.approx(told.ttest_mean()[1], abs=0.03)
