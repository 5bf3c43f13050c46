"""Preference losses with a probability per row, as pure functions of sequence log-probabilities.

All take tensors of shape (n_rows,) and keep their dtype, so that they can be checked in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch.nn.functional import logsigmoid

LossName = Literal["sigmoid", "geometric", "ipo"]


def preference_margin(
    policy_chosen: torch.Tensor,
    policy_rejected: torch.Tensor,
    reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor,
    n_tokens: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Compute how much more than the reference the policy prefers the chosen response.

    With ``n_tokens`` each response's log-ratio is taken per token, so that a response gains nothing by its length
    (length-normalised DPO, arXiv 2411.15124). Margins are then as much smaller, and ``beta`` is to be
    larger.

    Args:
        policy_chosen: log π(chosen | prompt), summed over the response's tokens, natural; (n_rows,).
        policy_rejected: the same of the rejected response.
        reference_chosen: the same under the reference.
        reference_rejected: the same under the reference.
        n_tokens: of the chosen and of the rejected responses; (n_rows,) each.

    Returns:
        h = [log π - log π_ref](chosen) - [log π - log π_ref](rejected), in nats, or in nats per token; (n_rows,).
    """
    chosen, rejected = policy_chosen - reference_chosen, policy_rejected - reference_rejected
    if n_tokens is not None:
        chosen, rejected = chosen / n_tokens[0], rejected / n_tokens[1]
    return chosen - rejected


def soft_dpo_loss(margin: torch.Tensor, p_chosen: torch.Tensor, beta: float) -> torch.Tensor:
    """Compute the cross-entropy between the label's probability and the policy's implied one.

    With Δ = beta·h it is -p·log sigmoid(Δ) - (1-p)·log sigmoid(-Δ): plain DPO (arXiv 2305.18290) at p = 1, the same
    for the swapped pair at 1 - p, and least where sigmoid(Δ) = p, so that a tie pulls the margin back to 0.

    Args:
        margin: h of ``preference_margin``; (n_rows,).
        p_chosen: the probability that the chosen response is the better one; (n_rows,).
        beta: how strongly the policy is held to the reference.

    Returns:
        The loss of each row, in nats; (n_rows,).
    """
    delta = beta * margin
    return -p_chosen * logsigmoid(delta) - (1 - p_chosen) * logsigmoid(-delta)


def geometric_dpo_loss(margin: torch.Tensor, p_chosen: torch.Tensor, beta: float) -> torch.Tensor:
    """Compute -log sigmoid((2p-1)·beta·h), whose gradient vanishes for ties (arXiv 2409.06691); shapes as above."""
    return -logsigmoid((2 * p_chosen - 1) * beta * margin)


def soft_ipo_loss(margin: torch.Tensor, p_chosen: torch.Tensor, beta: float) -> torch.Tensor:
    """Compute (h - (2p-1)/(2·beta))², with h summed over tokens, not averaged (arXiv 2310.12036); shapes as above."""
    return (margin - (2 * p_chosen - 1) / (2 * beta)) ** 2


PREFERENCE_LOSSES: Mapping[LossName, Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]] = {
    "sigmoid": soft_dpo_loss,
    "geometric": geometric_dpo_loss,
    "ipo": soft_ipo_loss,
}
