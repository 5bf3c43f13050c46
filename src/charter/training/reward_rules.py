"""Rewards by rule: pure functions of a rollout, each 0 where there is nothing to blame, and -1 at the worst."""

from __future__ import annotations

from collections.abc import Sequence

from charter.text_quality import is_boilerplate, is_repetitive, repeated_ngram_share
from charter.training.rollouts import Rollout


def length_reward(rollouts: Sequence[Rollout], *, most_tokens: int) -> list[float]:
    """Take off for length: nothing up to ``most_tokens``, then in a straight line to -1 at twice as many."""
    return [-min(max(one.n_tokens - most_tokens, 0) / most_tokens, 1.0) for one in rollouts]


def repetition_reward(rollouts: Sequence[Rollout]) -> list[float]:
    """Take off what share of a text says the same again; all of it where the text loops."""
    return [-1.0 if is_repetitive(one.text) else -repeated_ngram_share(one.text) for one in rollouts]


def boilerplate_reward(rollouts: Sequence[Rollout]) -> list[float]:
    """Take off for phrases of the preachy kind that over-trained models learn (CAI §4.3)."""
    return [-1.0 if is_boilerplate(one.text) else 0.0 for one in rollouts]
