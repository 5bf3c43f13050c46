"""Intervals, paired tests, calibration and agreement, against scipy, closed forms and simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize, special, stats

from charter.statistics import (
    MIN_GROUPS,
    Interval,
    cohen_kappa,
    confusion_matrix,
    even_test,
    expected_calibration_error,
    holm,
    mean_interval,
    paired_mean_difference,
    paired_rate_difference,
    rate_interval,
    reliability_bins,
    seed_averaged_difference,
    statistic_interval,
    wilson_interval,
)
from charter.statistics.agreement import error_of_true_probabilities
from charter.statistics.resampling import n_effective, t_quantile
from charter.statistics.score_bounds import tango_bounds, wilson_bounds

OUTCOMES = st.lists(st.booleans(), min_size=1, max_size=40)
PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (3, 17), (250, 438), (1, 10_000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_equals_scipy(successes: int, n: int, confidence: float) -> None:
    """Wilson's interval is scipy's, at the ends too."""
    ours = wilson_interval(successes, n, confidence=confidence)
    theirs = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert ours == Interval(successes / n, pytest.approx(theirs.low), pytest.approx(theirs.high), n)


@given(OUTCOMES)
def test_wilson_stays_inside_and_around(outcomes: list[bool]) -> None:
    """The interval lies in [0, 1], holds the rate and has width."""
    interval = rate_interval(outcomes)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.low < interval.high


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    """Counts that no sample has are an error."""
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(successes, n)


def test_mean_interval_equals_scipy() -> None:
    """The bootstrap is scipy's percentile one to the noise of resampling, stretched by Student's t over z."""
    values = np.random.default_rng(5).gamma(2.0, 3.0, size=80)
    ours = mean_interval(values, n_resamples=20_000, seed=1)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2))
    stretch = stats.t.ppf(0.975, 79) / stats.norm.ppf(0.975) * np.sqrt(80 / 79)
    below, above = (stretch * abs(values.mean() - end) for end in theirs.confidence_interval)
    width = ours.high - ours.low
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(values.mean() - below, abs=0.02 * width)
    assert ours.high == pytest.approx(values.mean() + above, abs=0.02 * width)


@pytest.mark.parametrize("degrees", [4, 5, 9, 29, 99, 10_000])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_t_quantile_equals_scipy(degrees: int, confidence: float) -> None:
    """Student's quantile is right to 0.3 % from 4 degrees of freedom on."""
    assert t_quantile(confidence, degrees) == pytest.approx(stats.t.ppf((1 + confidence) / 2, degrees), rel=3e-3)


@pytest.mark.parametrize("n_groups", [1, MIN_GROUPS - 1])
def test_too_few_groups_have_no_interval(n_groups: int) -> None:
    """Rows of one to four groups bound no mean and no statistic, alone or paired, however many rows there are."""
    values = np.random.default_rng(3).normal(size=40)
    groups = [n % n_groups for n in range(40)]
    found = mean_interval(values, groups=groups)
    assert found == Interval(pytest.approx(values.mean()), None, None, 40, n_groups)
    assert found.reach == 0
    paired = paired_mean_difference(np.zeros(40), values, groups=groups)
    assert (paired.low, paired.high, paired.n, paired.n_groups) == (None, None, 40, n_groups)
    general = statistic_interval(lambda rows: float(values[rows].mean()), 40, groups=groups, n_resamples=50)
    assert (general.low, general.high, general.n_groups) == (None, None, n_groups)


def test_values_that_are_all_alike_have_no_interval() -> None:
    """Where nothing varies nothing bounds the figure: no interval of width zero."""
    assert mean_interval([32.0] * 17) == Interval(32.0, None, None, 17)
    paired = paired_mean_difference([0.1] * 12, [0.3] * 12, groups=[n // 2 for n in range(12)])
    assert (paired.low, paired.high, paired.difference) == (None, None, pytest.approx(0.2))


@pytest.mark.parametrize("sizes", [[4], [2, 2], [1, 1, 1, 2], [2] * 6])
def test_a_rate_of_few_or_equal_groups_is_as_sure_as_that_many_rows(sizes: list[int]) -> None:
    """Half of the rows right in one group, in few, or in each of six alike: Wilson's interval over the groups."""
    outcomes = [n % 2 == 0 for size in sizes for n in range(size)]
    groups = [group for group, size in enumerate(sizes) for _ in range(size)]
    found = rate_interval(outcomes, groups=groups)
    theirs = stats.norm.ppf(0.975)
    n, rate = len(sizes), sum(outcomes) / len(outcomes)
    centre = (rate + theirs**2 / (2 * n)) / (1 + theirs**2 / n)
    assert (found.low + found.high) / 2 == pytest.approx(centre)
    assert found.high - found.low > (0.6 if n < MIN_GROUPS else 0.5)
    assert (found.n, found.n_groups) == (len(outcomes), n)


@pytest.mark.parametrize(("wins", "ties", "losses"), [(3, 2, 1), (49, 1, 0), (0, 7, 0), (1, 1, 38)])
def test_a_rate_with_ties_is_bounded_as_wins_less_losses_are(wins: int, ties: int, losses: int) -> None:
    """Wins less losses are a paired difference, whose interval a score test is held against elsewhere."""
    outcomes = [1.0] * wins + [0.5] * ties + [0.0] * losses
    found = rate_interval(outcomes)
    paired = paired_rate_difference([one == 0 for one in outcomes], [one == 1 for one in outcomes])
    assert (2 * found.low - 1, 2 * found.high - 1) == pytest.approx((paired.low, paired.high))
    assert found.low < found.value < found.high


def test_without_ties_both_score_intervals_are_one() -> None:
    """Where every row is won or lost, Tango's interval of wins less losses is Wilson's of wins."""
    low, high = tango_bounds(0.2, 0.8, 50, 0.95)
    assert ((1 + low) / 2, (1 + high) / 2) == pytest.approx(wilson_bounds(0.8, 50, 0.95))


def test_a_rate_with_ties_of_few_or_equal_groups_is_as_sure_as_that_many_rows() -> None:
    """Groups of two that always say the same count once each."""
    wins = [1.0, 0.5, 0.0, 1.0, 0.5, 1.0]
    doubled = rate_interval([one for one in wins for _ in range(2)], groups=[place for place in range(6) for _ in "12"])
    assert doubled.high - doubled.low >= rate_interval(wins).high - rate_interval(wins).low
    assert (doubled.n, doubled.n_groups) == (12, 6)


def test_a_tie_among_wins_makes_nothing_surer() -> None:
    """One tie of fifty leaves the lower end at least as far down as fifty wins do."""
    assert rate_interval([1.0] * 49 + [0.5]).low < rate_interval([1.0] * 50).low


def test_ties_narrow_a_rate_near_one_half() -> None:
    """Wins, ties and losses vary less than wins and losses of the same rate."""
    assert rate_interval([1.0] * 9 + [0.5] * 22 + [0.0] * 9).reach < rate_interval([1.0, 0.0] * 20).reach


def test_the_reach_is_the_distance_to_the_further_end() -> None:
    """Five of six: the interval reaches 39.7 points down and 13.7 up."""
    assert wilson_interval(5, 6).reach == pytest.approx(0.397, abs=5e-4)


def test_mean_interval_is_seeded() -> None:
    """One seed gives one interval; another seed gives another."""
    values = np.random.default_rng(0).normal(size=30)
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3)
    assert mean_interval(values, seed=3) != mean_interval(values, seed=4)


def test_mean_interval_does_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing in blocks to bound memory leaves the draws as they are."""
    values = np.random.default_rng(0).normal(size=31)
    whole = mean_interval(values)
    monkeypatch.setattr("charter.statistics.resampling.BLOCK", 1000)
    assert mean_interval(values) == whole


def test_single_row_groups_change_nothing() -> None:
    """Groups of one row each are rows."""
    values = np.random.default_rng(0).normal(size=25)
    assert mean_interval(values, groups=[f"row {i}" for i in range(25)]) == mean_interval(values)


def test_duplicated_rows_do_not_narrow_a_clustered_interval() -> None:
    """Ten copies of every row, grouped, bound the mean as the single rows do; ungrouped they pretend to know more."""
    values = np.random.default_rng(7).normal(size=40)
    copies, groups = np.repeat(values, 10), np.repeat(np.arange(40), 10).tolist()
    alone, clustered, naive = mean_interval(values), mean_interval(copies, groups=groups), mean_interval(copies)
    assert (clustered.low, clustered.high) == pytest.approx((alone.low, alone.high))
    assert clustered.n == 400
    assert naive.high - naive.low < 0.5 * (alone.high - alone.low)


def test_unequal_groups_weigh_rows_not_groups() -> None:
    """The clustered mean is the mean of rows, whatever the sizes of their groups."""
    assert mean_interval([1.0, 1.0, 1.0, 0.0], groups=["a", "a", "a", "b"]).value == 0.75


def test_rate_of_equal_outcomes_in_groups_has_width() -> None:
    """All right in every group still leaves doubt, as much as that many independent rows would."""
    interval = rate_interval([True] * 12, groups=["a", "b", "c"] * 4)
    assert interval == Interval(1.0, wilson_interval(3, 3).low, 1.0, 12, 3)


def test_copies_bound_a_rate_as_the_rows_do() -> None:
    """Four copies of every row, grouped, are worth the single rows, but for Student's t; ungrouped they are not."""
    outcomes = [True, False, True, True, False] * 8
    groups = [n // 4 for n in range(160)]
    found = rate_interval(np.repeat(outcomes, 4), groups=groups)
    assert n_effective(np.repeat(outcomes, 4).astype(float), groups, 0.95) == pytest.approx(
        39 * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 15)) ** 2, rel=1e-3
    )
    alone = wilson_interval(24, 40)
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high), abs=0.02)
    naive = rate_interval(np.repeat(outcomes, 4))
    assert naive.high - naive.low < 0.6 * (found.high - found.low)


@pytest.mark.parametrize("alike", [0.0, 0.3, 1.0])
def test_groups_are_worth_what_their_likeness_leaves(alike: float) -> None:
    """Of 2,000 groups of four rows that are alike in a share of cases: n rows divided by one and three times that."""
    rng = np.random.default_rng(23)
    groups = np.repeat(np.arange(2000), 4)
    same = (rng.random(2000) < alike)[groups]
    rows = np.where(same, (rng.random(2000) < 0.3)[groups], rng.random(8000) < 0.3).astype(float)
    assert n_effective(rows, groups.tolist(), 0.95) == pytest.approx(8000 / (1 + 3 * alike), rel=0.1)


@pytest.mark.parametrize(("n", "n_groups"), [(100, 99), (100, 20), (100, 5), (280, 180)])
def test_one_more_success_moves_both_ends_up(n: int, n_groups: int) -> None:
    """From none of the rows to four, each in a group of its own: either end of the interval rises with each of them."""
    groups = [place % n_groups for place in range(n)]
    found = [rate_interval([place < k for place in range(n)], groups=groups) for k in range(5)]
    for ends in ([one.low for one in found], [one.high for one in found]):
        assert ends == sorted(set(ends))


def test_statistic_interval_of_a_mean_is_the_mean_interval() -> None:
    """The general bootstrap and the vectorised one draw alike and give the same."""
    values = np.random.default_rng(0).normal(size=30)
    general = statistic_interval(lambda rows: float(values[rows].mean()), 30, n_resamples=300)
    special = mean_interval(values, n_resamples=300)
    assert (general.value, general.low, general.high) == pytest.approx((special.value, special.low, special.high))


def test_statistic_interval_resamples_groups_whole() -> None:
    """No resample ever holds a part of a group."""
    groups = ["a", "a", "b", "b", "b", "c"]
    seen: list[np.ndarray] = []
    statistic_interval(lambda rows: float(len(seen.append(rows) or rows)), 6, groups=groups, n_resamples=50)
    for rows in seen:
        counts = np.bincount(rows, minlength=6)
        assert counts[0] == counts[1]
        assert counts[2] == counts[3] == counts[4]


@pytest.mark.parametrize(
    ("n_groups", "size", "rate", "alike"),
    [(50, 2, 0.1, 0.5), (180, 2, 0.02, 0.3), (99, 1, 0.035, 0.0), (30, 4, 0.4, 0.7)],
)
def test_rates_in_groups_cover_at_their_level(n_groups: int, size: int, rate: float, alike: float) -> None:
    """Rates, rare ones too, of rows that are now and then all alike in their group: at least 93 % hold the truth."""
    rng = np.random.default_rng(21)
    groups = np.repeat(np.arange(n_groups), size)
    groups = np.append(groups, groups[:1]).tolist()  # one group is larger
    held = 0
    for _ in range(1000):
        shared = (rng.random(n_groups) < rate)[groups]
        own = rng.random(len(groups)) < rate
        rows = np.where((rng.random(n_groups) < alike)[groups], shared, own)
        interval = rate_interval(rows, groups=groups)
        held += interval.low <= rate <= interval.high
    assert held >= 930


@pytest.mark.parametrize(
    ("better", "worse", "alike"), [(0.02, 0.0, 0.0), (0.02, 0.0, 0.4), (0.1, 0.05, 0.4), (0.4, 0.1, 0.6)]
)
def test_changes_of_rates_cover_at_their_level(better: float, worse: float, alike: float) -> None:
    """Changes of a rate, rare ones too, in rows of their own and in groups: at least 93 % hold the truth."""
    rng = np.random.default_rng(22)
    n_groups, size = (100, 1) if not alike else (60, 2)
    groups = np.repeat(np.arange(n_groups), size)
    held = 0
    for _ in range(1000):
        of_group, of_row = rng.random(n_groups)[groups], rng.random(len(groups))
        drawn = np.where((rng.random(n_groups) < alike)[groups], of_group, of_row)
        base = (drawn >= better) & (drawn < better + worse)
        value = drawn < better
        paired = paired_rate_difference(base, value, groups=groups.tolist() if alike else None, n_resamples=20)
        held += paired.low <= better - worse <= paired.high
    assert held >= 930


@pytest.mark.parametrize("kind", ["rate", "mean", "mean of six", "clustered mean", "paired rate"])
def test_intervals_cover_at_their_level(kind: str) -> None:
    """Of 1,000 simulated samples, 93 to 97 % of the 95 % intervals hold the truth, of few rows too."""
    rng = np.random.default_rng(20)
    held = 0
    for draw in range(1000):
        if kind == "rate":
            interval, truth = wilson_interval(int(rng.binomial(60, 0.3)), 60), 0.3
        elif kind == "mean":
            interval, truth = mean_interval(rng.normal(2.0, 1.0, size=80), n_resamples=500, seed=draw), 2.0
        elif kind == "mean of six":
            interval, truth = mean_interval(rng.normal(2.0, 1.0, size=6), n_resamples=500, seed=draw), 2.0
        elif kind == "clustered mean":
            rows = np.repeat(rng.normal(size=80), 3) + rng.normal(size=240)
            groups = np.repeat(np.arange(80), 3).tolist()
            interval, truth = mean_interval(rows, groups=groups, n_resamples=500, seed=draw), 0.0
        else:
            base = rng.random(150) < 0.4
            value = np.where(rng.random(150) < 0.3, rng.random(150) < 0.7, base)
            paired = paired_rate_difference(base, value, n_resamples=500, seed=draw)
            interval, truth = Interval(paired.difference, paired.low, paired.high, 150), 0.3 * (0.7 - 0.4)
        held += interval.low <= truth <= interval.high
    assert 930 <= held <= 970


@pytest.mark.parametrize(
    ("worse", "better", "same"), [(0, 0, 5), (1, 0, 5), (3, 9, 30), (9, 3, 0), (40, 40, 2), (600, 700, 9)]
)
def test_mcnemar_equals_the_binomial_test(worse: int, better: int, same: int) -> None:
    """The p-value of a rate difference is the exact binomial test over the rows that changed."""
    base = [1] * worse + [0] * better + [1] * same
    value = [0] * worse + [1] * better + [1] * same
    paired = paired_rate_difference(base, value, n_resamples=100)
    expected = stats.binomtest(better, worse + better).pvalue if worse + better else 1.0
    assert paired.p_value == pytest.approx(expected, rel=1e-9)
    assert paired.method == "exact McNemar"
    assert paired.difference == pytest.approx((better - worse) / len(base))


@pytest.mark.parametrize(("worse", "better", "same"), [(0, 0, 9), (1, 0, 19), (2, 11, 30), (25, 4, 60), (3, 0, 0)])
def test_the_interval_of_a_change_holds_what_the_score_test_does_not_refuse(worse: int, better: int, same: int) -> None:
    """At each end the score test has just p 0.05; the rest of the table is the likeliest, searched for numerically."""
    n = worse + better + same
    paired = paired_rate_difference([1] * worse + [0] * (better + same), [0] * worse + [1] * better + [0] * same)
    for end in (paired.low, paired.high):
        if abs(end) == 1:
            assert paired.difference == end
            continue
        least, most = max(0.0, -end), (1 - end) / 2  # of P(worse), where P(better) is it plus the difference

        def unlikely(q: float, end: float = end) -> float:
            return -float(
                special.xlogy(worse, q) + special.xlogy(better, q + end) + special.xlogy(same, 1 - 2 * q - end)
            )

        q = optimize.minimize_scalar(unlikely, bounds=(least, most), method="bounded", options={"xatol": 1e-12}).x
        q = min((least, most, q), key=unlikely)
        score = n * (paired.difference - end) ** 2 / (2 * q + end - end**2)
        assert score == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-3)


@given(PAIRS)
def test_exchanging_the_sides_turns_the_difference_round(pairs: list[tuple[bool, bool]]) -> None:
    """Base for value gives minus the difference and the same p-value."""
    base, value = [first for first, _ in pairs], [second for _, second in pairs]
    there = paired_rate_difference(base, value, n_resamples=100)
    back = paired_rate_difference(value, base, n_resamples=100)
    assert back.difference == pytest.approx(-there.difference)
    assert back.p_value == pytest.approx(there.p_value)
    assert (-back.high, -back.low) == pytest.approx((there.low, there.high))
    assert there.low <= there.difference + 1e-12
    assert there.high >= there.difference - 1e-12
    assert 0 < there.p_value <= 1


@pytest.mark.parametrize("n", [1, 10, 200])
def test_no_change_keeps_an_interval_with_width(n: int) -> None:
    """Where no row changed, the interval is around 0, narrows with n, and is not [0, 0]."""
    paired = paired_rate_difference([1, 0] * n, [1, 0] * n)
    assert paired.low < 0 < paired.high
    assert paired.p_value == 1.0
    assert paired.high < 4 / n


def test_all_changed_keeps_an_interval_with_width() -> None:
    """Where every row changed the same way, the interval reaches 1 and starts below it."""
    paired = paired_rate_difference([0] * 20, [1] * 20)
    assert 0.5 < paired.low < 1.0 == paired.high == paired.difference


def test_rates_in_groups_are_not_tested_row_by_row() -> None:
    """Eight changed rows of two contexts are two observations: the p-value says so."""
    base, value, groups = [0] * 8, [1] * 8, ["a"] * 4 + ["b"] * 4
    assert paired_rate_difference(base, value).p_value < 0.01
    clustered = paired_rate_difference(base, value, groups=groups)
    assert clustered.p_value == 0.5
    assert clustered.method == "exact sign-flip permutation"


def test_sign_flip_enumerates_small_samples() -> None:
    """For few rows the p-value is the share of all sign patterns, by hand."""
    differences = np.array([0.3, -0.1, 0.4, 0.2, 0.25])
    patterns = np.array(list(itertools.product([1, -1], repeat=5))) @ differences
    expected = (np.abs(patterns) >= differences.sum() - 1e-12).mean()
    assert paired_mean_difference(np.zeros(5), differences).p_value == pytest.approx(expected)


def test_sign_flip_equals_scipy() -> None:
    """For many rows the p-value agrees with scipy's permutation test of one sample's signs."""
    rng = np.random.default_rng(11)
    base, value = rng.normal(size=50), rng.normal(0.3, 1.0, size=50)
    ours = paired_mean_difference(base, value, n_resamples=20_000)
    theirs = stats.permutation_test(
        (base, value),
        lambda x, y, axis: np.mean(y - x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(3),
    )
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.01)
    assert ours.method == "sign-flip permutation"


def test_sign_flip_is_never_zero_and_uniform_under_no_effect() -> None:
    """A huge effect keeps the smallest possible p-value; no effect rejects at the level."""
    sure = paired_mean_difference(np.zeros(40), np.ones(40), n_resamples=99)
    assert sure.p_value == 0.01
    rng = np.random.default_rng(8)
    rejected = sum(
        paired_mean_difference(rng.normal(size=30), rng.normal(size=30), n_resamples=199).p_value <= 0.05
        for _ in range(1000)
    )
    assert 30 <= rejected <= 70


@pytest.mark.parametrize(("wins", "losses", "ties"), [(9, 1, 0), (9, 1, 20), (3, 3, 1), (0, 0, 4), (40, 25, 3)])
def test_the_sign_test_equals_the_binomial_test(wins: int, losses: int, ties: int) -> None:
    """Of independent rows only the decided ones count, against one half."""
    p_value, method = even_test([1.0] * wins + [0.0] * losses + [0.5] * ties)
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert (p_value, method) == (pytest.approx(expected, rel=1e-9), "exact sign test")


def test_wins_in_groups_are_not_tested_row_by_row() -> None:
    """Ten wins of two prompts are two observations: four sign patterns, two of them as far from even."""
    assert even_test([1.0] * 10, groups=["a"] * 5 + ["b"] * 5) == (0.5, "exact sign-flip permutation")
    many = even_test([1.0] * 40, groups=[n // 2 for n in range(40)], n_resamples=99)
    assert many == (0.01, "sign-flip permutation")


def test_pairing_narrows_the_interval() -> None:
    """What base and value share cancels out of a paired interval."""
    rng = np.random.default_rng(1)
    base = rng.normal(0, 10, size=60)
    paired = paired_mean_difference(base, base + 0.5 + rng.normal(0, 0.1, size=60))
    assert paired.high - paired.low < 0.1
    assert paired.low < 0.5 < paired.high
    assert (paired.value - paired.base) == pytest.approx(paired.difference)


def test_seeds_are_averaged_over_the_same_prompts() -> None:
    """Three seeds give the mean of their differences, each one beside it, and prompts as the n."""
    rng = np.random.default_rng(2)
    base = rng.normal(size=50)
    values = [base + shift + rng.normal(0, 0.1, size=50) for shift in (0.1, 0.2, 0.6)]
    pooled = seed_averaged_difference([base], values)
    alone = [paired_mean_difference(base, value).difference for value in values]
    assert pooled.per_seed == pytest.approx(alone)
    assert pooled.difference == pytest.approx(np.mean(alone))
    assert pooled.n == 50
    assert pooled.low < pooled.difference < pooled.high
    assert pooled.method.endswith("mean of 3 seeds")


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
def test_changes_over_seeds_cover_at_their_level(shared: float) -> None:
    """Three seeds over 80 prompts, of which a share changes alike in all: at least 93 % hold the change of 20 %."""
    rng = np.random.default_rng(24)
    held = 0
    for _ in range(1000):
        of_prompt, of_answer = rng.random(80), rng.random((3, 80))
        drawn = np.where(rng.random(80) < shared, of_prompt, of_answer)
        pooled = seed_averaged_difference([np.zeros(80)], (drawn < 0.2).astype(float).tolist(), n_resamples=20)
        held += pooled.low <= 0.2 <= pooled.high
    assert held >= 930


def test_one_seed_is_the_paired_difference() -> None:
    """A single seed is the plain comparison."""
    rng = np.random.default_rng(2)
    base, value = rng.normal(size=20), rng.normal(size=20)
    one, plain = seed_averaged_difference([base], [value]), paired_mean_difference(base, value)
    assert (one.difference, one.low, one.high, one.p_value) == (
        plain.difference,
        plain.low,
        plain.high,
        plain.p_value,
    )


@pytest.mark.parametrize("base", [[0.0] * 20, [1.0, 0.0] * 10])
@pytest.mark.parametrize("groups", [None, [n // 4 for n in range(20)]])
def test_seeds_that_change_nothing_are_not_sure_of_it(base: list[float], groups: list[int] | None) -> None:
    """Outcomes that no seed changed are bounded as those of one seed are, and scores have no interval."""
    pooled = seed_averaged_difference([base], [base] * 3, groups=groups)
    alone = paired_rate_difference(base, base, groups=groups)
    assert pooled.difference == 0
    assert (pooled.low, pooled.high) == pytest.approx((alone.low, alone.high))
    assert pooled.low < 0 < pooled.high
    scores = [0.5 * one for one in base]
    if any(scores):
        plain = seed_averaged_difference([scores], [scores] * 3, groups=groups)
        assert (plain.low, plain.high) == (None, None)


def test_repeating_a_seed_adds_nothing() -> None:
    """Three equal seeds know no more than one: prompts are what is resampled."""
    rng = np.random.default_rng(2)
    base, value = rng.normal(size=20), rng.normal(size=20)
    one, three = seed_averaged_difference([base], [value]), seed_averaged_difference([base] * 3, [value] * 3)
    assert (three.low, three.high, three.p_value) == pytest.approx((one.low, one.high, one.p_value))


@pytest.mark.parametrize(
    ("bases", "values", "match"),
    [
        ([], [], "seeds"),
        ([[1.0], [1.0]], [[1.0]] * 3, "seeds"),
        ([[1.0, 2.0]], [[1.0, 2.0], [1.0]], "same prompts"),
    ],
)
def test_seeds_that_do_not_match_are_refused(bases: list[list[float]], values: list[list[float]], match: str) -> None:
    """Seeds over other prompts, or bases of other seeds, are an error."""
    with pytest.raises(ValueError, match=match):
        seed_averaged_difference(bases, values)


def test_calibration_error_by_hand() -> None:
    """Two bins off by 0.15 and 0.25 over three and one rows."""
    sure, true = [0.15, 0.15, 0.15, 0.75], [0, 0, 0, 1]
    assert expected_calibration_error(sure, true) == pytest.approx((3 * 0.15 + 0.25) / 4)
    assert [(one.lower, one.upper, one.n) for one in reliability_bins(sure, true)] == [(0.1, 0.2, 3), (0.7, 0.8, 1)]


@pytest.mark.parametrize("n", [20, 400])
def test_true_probabilities_have_the_error_that_is_told(n: int) -> None:
    """Outcomes drawn by scipy from the probabilities themselves: the mean error, and the share above the bound."""
    chance = np.random.default_rng(3)
    sure = chance.uniform(0.5, 1.0, n)
    mean, most = error_of_true_probabilities(sure, n_bins=20, seed=1)
    drawn = [
        expected_calibration_error(sure, stats.bernoulli.rvs(sure, random_state=number), n_bins=20)
        for number in range(500)
    ]
    assert mean == pytest.approx(np.mean(drawn), rel=0.1)
    assert np.mean(np.array(drawn) > most) == pytest.approx(0.05, abs=0.03)
    assert mean > expected_calibration_error([1.0] * n, [1.0] * n) == 0.0
    assert error_of_true_probabilities([1.0] * n) == (0.0, 0.0)


def test_calibration_counts_the_ends() -> None:
    """0 lies in the first bin and 1 in the last."""
    assert [one.n for one in reliability_bins([0.0, 1.0, 1.0], [0, 1, 1])] == [1, 2]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50), st.integers(1, 20))
def test_calibration_error_is_bounded(rows: list[tuple[float, bool]], n_bins: int) -> None:
    """The error lies in [0, 1], every row is in one bin, and one bin gives the gap of the means."""
    sure, true = [p for p, _ in rows], [float(outcome) for _, outcome in rows]
    assert 0 <= expected_calibration_error(sure, true, n_bins=n_bins) <= 1
    assert sum(one.n for one in reliability_bins(sure, true, n_bins=n_bins)) == len(rows)
    gap = abs(np.mean(sure) - np.mean(true))
    assert expected_calibration_error(sure, true, n_bins=1) == pytest.approx(gap)


def test_calibrated_predictions_have_a_small_error() -> None:
    """Outcomes drawn at the stated probability are calibrated; shifted ones are off by the shift."""
    rng = np.random.default_rng(4)
    sure = rng.uniform(0, 0.7, size=20_000)
    true = rng.random(20_000) < sure
    assert expected_calibration_error(sure, true) < 0.02
    assert expected_calibration_error(sure + 0.3, true) == pytest.approx(0.3, abs=0.02)


def test_kappa_by_hand() -> None:
    """The textbook table of 20, 5, 10, 15 has kappa 0.4."""
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=40))
def test_kappa_is_symmetric_and_bounded(rows: list[tuple[str, str]]) -> None:
    """Raters may change places; kappa never exceeds 1, nor agreement."""
    first, second = [a for a, _ in rows], [b for _, b in rows]
    matrix = confusion_matrix(first, second)
    assert cohen_kappa(first, second) == pytest.approx(cohen_kappa(second, first))
    assert -1 <= matrix.kappa <= matrix.agreement + 1e-12
    assert matrix.n == len(rows)


def test_kappa_of_full_agreement_is_one_unless_only_one_label_exists() -> None:
    """Agreement on two labels is 1; on a single label nothing beyond chance was shown."""
    assert cohen_kappa(["a", "b"], ["a", "b"]) == 1.0
    assert cohen_kappa(["a", "a"], ["a", "a"]) == 0.0


def test_confusion_matrix_counts_by_row_and_column() -> None:
    """Rows are true labels, columns predictions, in the order that was asked for."""
    matrix = confusion_matrix(["b", "a", "b"], ["b", "b", "a"], labels=["b", "a", "never"])
    assert matrix.labels == ("b", "a", "never")
    assert matrix.counts == ((1, 1, 0), (1, 0, 0), (0, 0, 0))
    assert matrix.agreement == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: mean_interval([]), "at least one"),
        (lambda: mean_interval([1.0, float("nan")]), "finite"),
        (lambda: mean_interval([1.0, 2.0], groups=["a"]), "1 groups for 2 rows"),
        (lambda: mean_interval([1.0, 2.0], confidence=95), "confidence"),
        (lambda: rate_interval([0.7, 1.0]), "0, 0.5 and 1"),
        (lambda: paired_mean_difference([1.0], [1.0, 2.0]), "same rows"),
        (lambda: paired_rate_difference([0.2], [1.0]), "0 and 1"),
        (lambda: even_test([0.7]), "0, 0.5 and 1"),
        (lambda: reliability_bins([1.2], [1]), "outside"),
        (lambda: reliability_bins([0.2, 0.3], [1]), "one outcome"),
        (lambda: confusion_matrix([], []), "at least one"),
        (lambda: confusion_matrix(["a"], ["b"], labels=["a"]), "not among"),
    ],
)
def test_wrong_input_is_refused(call: object, match: str) -> None:
    """What cannot be a sample is an error that says what was expected."""
    assert callable(call)
    with pytest.raises(ValueError, match=match):
        call()


@given(st.lists(NUMBERS, min_size=MIN_GROUPS, max_size=30), NUMBERS)
def test_mean_interval_moves_with_its_values(values: list[float], shift: float) -> None:
    """The interval holds the mean, and shifting every value shifts it alike."""
    assume(np.ptp(values) > 1e-3)
    here, there = mean_interval(values, n_resamples=200), mean_interval(np.array(values) + shift, n_resamples=200)
    tolerance = 1e-6 * (1 + max(map(abs, values)) + abs(shift))
    assert there.value == pytest.approx(here.value + shift, abs=tolerance)
    assert there.low == pytest.approx(here.low + shift, abs=tolerance)
    assert here.low <= here.high


def _adjusted_by_definition(p_values: list[float]) -> list[float]:
    """Adjust p-values one by one, as the procedure is written down."""
    ranked = sorted(p_values)
    steps = [min(1.0, (len(ranked) - place) * p) for place, p in enumerate(ranked)]
    return [max(steps[: ranked.index(p) + 1]) for p in p_values]


def test_holm_is_the_published_procedure() -> None:
    """A worked family, in any order; the first p-value is multiplied by the number of tests, as Bonferroni has it."""
    assert holm([0.04, 0.01, 0.05, 0.02, 0.03]) == pytest.approx([0.09, 0.05, 0.09, 0.08, 0.09])
    assert holm([]) == []
    with pytest.raises(ValueError, match="no probability"):
        holm([0.2, 1.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12, unique=True))
def test_holm_keeps_the_order_and_never_lowers(p_values: list[float]) -> None:
    """What is adjusted is no smaller, no larger than Bonferroni's, and in the same order."""
    adjusted = holm(p_values)
    assert adjusted == pytest.approx(_adjusted_by_definition(p_values))
    assert all(p <= after <= min(1, len(p_values) * p) + 1e-12 for p, after in zip(p_values, adjusted, strict=True))
    by_size = [after for _, after in sorted(zip(p_values, adjusted, strict=True))]
    assert by_size == sorted(by_size)


def test_holm_errs_in_at_most_one_family_in_twenty() -> None:
    """Of families of ten tests without any effect, at most 5 % have one below 0.05."""
    draws = np.random.default_rng(0).uniform(size=(2_000, 10))
    assert np.mean([min(holm(list(family))) < 0.05 for family in draws]) < 0.06
