"""Paired comparisons: two rates or means over the same rows, and their average over training seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from charter.statistics.resampling import (
    ANY_NUMBER,
    BLOCK,
    N_RESAMPLES,
    TIE,
    Floats,
    Groups,
    Limits,
    binary,
    bootstrap_bounds,
    finite,
    group_totals,
    n_effective,
    n_groups_of,
    resampled_means,
    with_ties,
)
from charter.statistics.score_bounds import tango_bounds

_EXACT_GROUPS = 12  # 2**12 sign patterns are about as many as the draws they replace


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """``difference = value - base`` over the same ``n`` rows, with interval and two-sided p-value.

    ``low`` and ``high`` are None where the rows cannot bound the difference. ``method`` names the test that the p-value
    belongs to. ``per_seed`` holds the difference of every training seed where several were averaged, else nothing.
    ``n_groups`` counts what is independent among the rows, None where each stands for itself.
    """

    base: float
    value: float
    difference: float
    low: float | None
    high: float | None
    p_value: float
    n: int
    method: str
    per_seed: tuple[float, ...] = ()
    n_groups: int | None = None


def paired_rate_difference(
    base: ArrayLike,
    value: ArrayLike,
    *,
    groups: Groups | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> PairedDifference:
    """Compare two rates on the same rows: Tango's score interval, and McNemar's exact test.

    The test looks only at the rows that changed: under no effect the number that went the rarer way is binomial with
    probability 1/2, and its lower tail is doubled. That takes rows to be independent; where rows share groups, whole
    groups are sign-flipped instead (see ``paired_mean_difference``), and the interval is of as many rows as the groups
    are worth (see ``n_effective``). Sources: McNemar 1947, Psychometrika 12(2); Tango 1998, Stat. Med. 17(8).

    Args:
        base: outcomes, 0 or 1.
        value: of the same rows in the same order.
        groups: what each row shares with others.
        n_resamples: how many sign patterns are drawn for more than 12 groups.
        seed: of the draws.
        confidence: of the interval.

    Raises:
        ValueError: for rows that are not paired, outcomes other than 0 and 1, or groups of another length.
    """
    before, after = _paired(binary(base, "base"), binary(value, "value"))
    change = after - before
    sums, _ = group_totals(change, groups)
    worse, better = int((change < 0).sum()), int((change > 0).sum())
    n, n_groups = len(change), n_groups_of(len(change), len(sums))
    test = (
        (_binomial(worse, better), "exact McNemar")
        if n_groups is None
        else _sign_flip(sums, n_resamples=n_resamples, seed=seed)
    )
    bounds = tango_bounds(worse / n, better / n, n_effective(change, groups, confidence), confidence)
    return _difference(before, after, bounds, test, n_groups)


def paired_mean_difference(
    base: ArrayLike,
    value: ArrayLike,
    *,
    groups: Groups | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
    limits: Limits = ANY_NUMBER,
) -> PairedDifference:
    """Compare two means on the same rows: bootstrap interval over pairs, and a sign-flip permutation test.

    If the two sides were exchangeable, each group's difference could as well have had the other sign. The p-value is
    the share of sign patterns whose sum is at least as far from 0: of all patterns for up to 12 groups, else of random
    ones as ``(1 + hits) / (1 + n_resamples)``, never 0. Fewer than six groups cannot bring it under 0.05. The interval
    is that of ``mean_interval``: none for fewer than five groups. Sources: Fisher 1935, The Design of Experiments §21;
    Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9(1).

    Raises:
        ValueError: for rows that are not paired, values that are not finite, or groups of another length.
    """
    before, after = _paired(finite(base, "base"), finite(value, "value"))
    sums, sizes = group_totals(after - before, groups)
    difference = float((after - before).mean())
    means = resampled_means(sums, sizes, n_resamples=n_resamples, seed=seed)
    bounds = bootstrap_bounds(difference, means, len(sums), confidence, limits)
    test = _sign_flip(sums, n_resamples=n_resamples, seed=seed)
    return _difference(before, after, bounds, test, n_groups_of(len(before), len(sums)))


def seed_averaged_difference(
    bases: Sequence[ArrayLike],
    values: Sequence[ArrayLike],
    *,
    groups: Groups | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> PairedDifference:
    """Average the paired difference over training seeds, with an interval over prompts.

    Every prompt's difference is averaged over the seeds first, and prompts are resampled then, so all seeds share a
    resample. The interval speaks of these seeds on other prompts; how much another seed would differ is what
    ``per_seed`` shows (three seeds are too few to bootstrap). Where outcomes are 0 and 1 the interval is that of
    ``paired_rate_difference``, of the rows of all seeds, those of a prompt in one group; else means are bootstrapped.

    Args:
        bases: a row of outcomes for each seed, or a single one where all seeds share a base.
        values: a row of outcomes for each seed, over the same prompts in the same order.
        groups: what each prompt shares with others.
        n_resamples: how many resamples and sign patterns are drawn.
        seed: of the draws.
        confidence: of the interval.

    Raises:
        ValueError: for no seeds, rows that are not paired, or values that are not finite.
    """
    if not values or len(bases) not in {1, len(values)}:
        raise ValueError(f"{len(bases)} bases for {len(values)} seeds: expected one base, or one for each seed")
    before = [finite(row, "bases") for row in bases]
    after = [finite(row, "values") for row in values]
    sizes = {len(row) for row in (*before, *after)}
    if len(sizes) > 1:
        raise ValueError(f"rows of {sorted(sizes)} prompts: expected the same prompts in the same order for every seed")
    per_seed = np.asarray(after) - np.asarray(before)  # a single base is broadcast over the seeds
    are_outcomes = all(np.isin(row, (0.0, 1.0)).all() for row in (*before, *after))
    pooled = paired_mean_difference(
        np.mean(before, axis=0),
        np.mean(after, axis=0),
        groups=groups,
        n_resamples=n_resamples,
        seed=seed,
        confidence=confidence,
    )
    low, high = pooled.low, pooled.high
    if are_outcomes:
        shared = [*(range(pooled.n) if groups is None else groups)] * len(per_seed)
        n = n_effective(per_seed.ravel(), shared, confidence)
        low, high = tango_bounds(float((per_seed < 0).mean()), float((per_seed > 0).mean()), n, confidence)
    return replace(
        pooled,
        low=low,
        high=high,
        method=f"{pooled.method}, mean of {len(values)} seeds",
        per_seed=tuple(float(row.mean()) for row in per_seed),
    )


def even_test(
    outcomes: ArrayLike, *, groups: Groups | None = None, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> tuple[float, str]:
    """Test whether a win is as likely as a loss: two-sided p-value, and the test's name.

    Of independent rows the sign test: wins among the decided rows are binomial with probability 1/2, and ties say
    nothing. Where rows share groups, whole groups are sign-flipped (see ``paired_mean_difference``). Source: Dixon and
    Mood 1946, JASA 41(236).

    Args:
        outcomes: 1 for a win, 0 for a loss, 0.5 for a tie.
        groups: what each row shares with others.
        n_resamples: how many sign patterns are drawn for more than 12 groups.
        seed: of the draws.

    Raises:
        ValueError: for no outcomes, other outcomes, or groups of another length.
    """
    array = with_ties(outcomes, "outcomes")
    sums, _ = group_totals(array - TIE, groups)
    if len(sums) == len(array):
        return _binomial(int((array < TIE).sum()), int((array > TIE).sum())), "exact sign test"
    return _sign_flip(sums, n_resamples=n_resamples, seed=seed)


def _paired(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    if before.shape != after.shape:
        raise ValueError(
            f"{len(before)} rows of base and {len(after)} of value: expected the same rows in the same order"
        )
    return before, after


def _difference(
    before: Floats,
    after: Floats,
    bounds: tuple[float, float] | tuple[None, None],
    test: tuple[float, str],
    n_groups: int | None,
) -> PairedDifference:
    base, value = float(before.mean()), float(after.mean())
    difference, (low, high), (p_value, method) = float((after - before).mean()), bounds, test
    return PairedDifference(base, value, difference, low, high, p_value, len(before), method, n_groups=n_groups)


def _sign_flip(sums: Floats, *, n_resamples: int, seed: int) -> tuple[float, str]:
    # Sums equal up to rounding count as equal, or ties would depend on the order of adding.
    threshold = abs(float(sums.sum())) - 1e-9 * float(np.abs(sums).sum())
    if len(sums) <= _EXACT_GROUPS:
        patterns = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        return float((np.abs((2 * patterns - 1) @ sums) >= threshold).mean()), "exact sign-flip permutation"
    rng = np.random.default_rng([seed, 1])  # a stream of its own, beside the bootstrap's
    hits, step = 0, max(1, BLOCK // len(sums))
    for start in range(0, n_resamples, step):
        signs = rng.integers(2, size=(min(step, n_resamples - start), len(sums)), dtype=np.int8) * 2 - 1
        hits += int((np.abs(signs @ sums) >= threshold).sum())
    return (1 + hits) / (1 + n_resamples), "sign-flip permutation"


def _binomial(worse: int, better: int) -> float:
    """Double the tail of the rarer side: under no effect it is binomial with probability 1/2."""
    changed, rarer = worse + better, min(worse, better)
    steps = np.arange(1, rarer + 1, dtype=np.float64)
    log_ways = np.concatenate([[0.0], np.cumsum(np.log((changed - steps + 1) / steps))])  # log C(changed, k)
    tail = float(np.exp(log_ways - changed * math.log(2)).sum())
    return min(1.0, 2 * tail)
