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
    n_groups_of,
    normal_quantile,
    resampled_means,
    with_ties,
)

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
    """Compare two rates on the same rows: bootstrap interval over pairs, and McNemar's exact test.

    The test looks only at the rows that changed: under no effect the number that went the rarer way is binomial with
    probability 1/2, and its lower tail is doubled. That takes rows to be independent; where rows share groups, whole
    groups are sign-flipped instead (see ``paired_mean_difference``). Where the bootstrap bounds nothing (fewer than
    five groups, or all alike, as when no row changed), the adjusted interval of Agresti and Min stands in,
    with as many rows as there are groups. Sources: McNemar 1947, Psychometrika 12(2); Agresti and Min 2005, Stat. Med.
    24(5).

    Raises:
        ValueError: for rows that are not paired, outcomes other than 0 and 1, or groups of another length.
    """
    before, after = binary(base, "base"), binary(value, "value")
    result = paired_mean_difference(
        before, after, groups=groups, n_resamples=n_resamples, seed=seed, confidence=confidence, limits=(-1.0, 1.0)
    )
    low, high, p_value, method = result.low, result.high, result.p_value, result.method
    worse, better = int((after < before).sum()), int((after > before).sum())
    if result.n_groups is None:
        p_value, method = _binomial(worse, better), "exact McNemar"
    if low is None:
        n_groups = result.n_groups or len(before)
        low, high = _agresti_min(worse / len(before), better / len(before), n_groups, confidence)
    return replace(result, low=low, high=high, p_value=p_value, method=method)


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
    before, after = finite(base, "base"), finite(value, "value")
    if before.shape != after.shape:
        raise ValueError(
            f"{len(before)} rows of base and {len(after)} of value: expected the same rows in the same order"
        )
    sums, sizes = group_totals(after - before, groups)
    difference = float((after - before).mean())
    means = resampled_means(sums, sizes, n_resamples=n_resamples, seed=seed)
    low, high = bootstrap_bounds(difference, means, len(sums), confidence, limits)
    p_value, method = _sign_flip(sums, n_resamples=n_resamples, seed=seed)
    return PairedDifference(
        base=float(before.mean()),
        value=float(after.mean()),
        difference=difference,
        low=low,
        high=high,
        p_value=p_value,
        n=len(before),
        method=method,
        n_groups=n_groups_of(len(before), len(sums)),
    )


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
    ``per_seed`` shows (three seeds are too few to bootstrap). Where outcomes are 0 and 1 and the bootstrap bounds
    nothing, the interval is that of ``paired_rate_difference``, of the average shares that changed either way.

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
        limits=(-1.0, 1.0) if are_outcomes else ANY_NUMBER,
    )
    low, high = pooled.low, pooled.high
    if low is None and are_outcomes:
        n_groups = pooled.n_groups or pooled.n
        low, high = _agresti_min(float((per_seed < 0).mean()), float((per_seed > 0).mean()), n_groups, confidence)
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


def _agresti_min(worse: float, better: float, n: int, confidence: float) -> tuple[float, float]:
    # Half a row is added to each of the four cells of the paired table: two rows in all.
    total = n + 2
    difference = n * (better - worse) / total
    changed = (n * (better + worse) + 1) / total
    half = normal_quantile(confidence) * math.sqrt((changed - difference**2) / total)
    return max(-1.0, difference - half), min(1.0, difference + half)
