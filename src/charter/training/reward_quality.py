"""How good a preference model is on pairs that it was not trained on: pure figures over rows with their rewards.

Its probability for a pair is sigmoid(r_chosen - r_rejected). Pairs whose label is a tie have no right side: they count
in calibration alone. All intervals resample groups of prompts whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from charter.records import RewardedPair
from charter.statistics import (
    Interval,
    ReliabilityBin,
    expected_calibration_error,
    mean_interval,
    rank_correlation,
    rate_interval,
    reliability_bins,
    statistic_interval,
)

_EVEN = 0.5
_BINS = 20  # over [0, 1], of which the likelier side's probability can be in the upper ten
_RESAMPLES = 500  # of a correlation, which ranks its rows anew in each


@dataclass(frozen=True)
class RewardQuality:
    """The figures of some pairs.

    Attributes:
        n: pairs.
        n_groups: groups of prompts that they are of.
        n_ties: of the pairs, those whose label is a tie.
        accuracy: the share whose likelier side has the higher reward; equal rewards count a half. None of ties alone.
        where_shorter: the same where the likelier side is the shorter response, in tokens; None where there are none.
        where_longer: the same where it is the longer one.
        brier: the mean of (p - label)².
        ece: the expected calibration error: how far the probability of the side that the model prefers is from what
            labels say of it.
        bins: what that is the mean of.
        length_correlation: the rank correlation of a response's reward and its tokens, over all sides.
        by_source: the accuracy on pairs of each source, and ``by_kind`` on prompts of each kind.
    """

    n: int
    n_groups: int
    n_ties: int
    accuracy: Interval | None
    where_shorter: Interval | None
    where_longer: Interval | None
    brier: Interval
    ece: float
    bins: tuple[ReliabilityBin, ...]
    length_correlation: Interval
    by_source: dict[str, Interval | None]
    by_kind: dict[str, Interval | None]

    def to_json(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self) | {"bins": [asdict(one) for one in self.bins]}


def measure_rewards(rows: Sequence[RewardedPair], *, seed: int = 0) -> RewardQuality | None:
    """Measure a preference model on pairs; None of no pairs.

    Args:
        rows: with the rewards of both sides.
        seed: of the resamples.
    """
    if not rows:
        return None
    p = [p_preferred(row.margin) for row in rows]
    groups = [row.group for row in rows]
    sure = [max(one, 1.0 - one) for one in p]
    true = [row.p_chosen if one >= _EVEN else 1.0 - row.p_chosen for one, row in zip(p, rows, strict=True)]
    return RewardQuality(
        n=len(rows),
        n_groups=len(set(groups)),
        n_ties=sum(row.p_chosen == _EVEN for row in rows),
        accuracy=_accuracy(rows),
        where_shorter=_accuracy(row for row in rows if row.n_tokens_chosen < row.n_tokens_rejected),
        where_longer=_accuracy(row for row in rows if row.n_tokens_chosen > row.n_tokens_rejected),
        brier=mean_interval(
            [(one - row.p_chosen) ** 2 for one, row in zip(p, rows, strict=True)],
            groups=groups,
            seed=seed,
            limits=(0.0, 1.0),
        ),
        ece=expected_calibration_error(sure, true, n_bins=_BINS),
        bins=reliability_bins(sure, true, n_bins=_BINS),
        length_correlation=_length_correlation(rows, groups, seed),
        by_source=_accuracies(rows, lambda row: row.source),
        by_kind=_accuracies(rows, lambda row: row.prompt.kind),
    )


def p_preferred(margin: float) -> float:
    """Give the probability that goes with a difference of rewards: sigmoid, without overflow."""
    return (1.0 + math.tanh(margin / 2)) / 2


def right(row: RewardedPair) -> float:
    """Say whether the likelier side has the higher reward: 1, 0, or a half where rewards are equal."""
    return _EVEN if row.margin == 0 else float(row.margin > 0)


def _accuracy(rows: Iterable[RewardedPair]) -> Interval | None:
    decided = [row for row in rows if row.p_chosen != _EVEN]
    if not decided:
        return None
    return rate_interval([right(row) for row in decided], groups=[row.group for row in decided])


def _accuracies(rows: Sequence[RewardedPair], part_of: Callable[[RewardedPair], str]) -> dict[str, Interval | None]:
    names = sorted({part_of(row) for row in rows})
    return {name: _accuracy(row for row in rows if part_of(row) == name) for name in names}


def _length_correlation(rows: Sequence[RewardedPair], groups: Sequence[str], seed: int) -> Interval:
    rewards = np.array([(row.reward_chosen, row.reward_rejected) for row in rows])
    lengths = np.array([(row.n_tokens_chosen, row.n_tokens_rejected) for row in rows], dtype=np.float64)
    return statistic_interval(
        lambda drawn: rank_correlation(rewards[drawn].ravel(), lengths[drawn].ravel()),
        len(rows),
        groups=groups,
        n_resamples=_RESAMPLES,
        seed=seed,
        limits=(-1.0, 1.0),
    )
