"""How the learning rate rises and falls, as a share of its peak."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["cosine", "linear", "constant"]


def learning_rate_share(step: int, n_steps: int, warmup: float, schedule: Schedule) -> float:
    """Compute the share of the peak learning rate that a step is taken with.

    It rises in equal parts over the warm-up and then falls towards 0, which it would reach one step after the last:
    no step is taken with a rate of 0. (The usual schedules give the first warm-up step none; a short training would
    waste it.)

    Args:
        step: the step's number, from 0.
        n_steps: how many there are.
        warmup: the share of the steps in which the rate rises.
        schedule: ``cosine`` and ``linear`` fall after the warm-up, ``constant`` stays.

    Returns:
        A share in (0, 1].
    """
    n_warmup = math.ceil(warmup * n_steps)
    if step < n_warmup:
        return (step + 1) / (n_warmup + 1)
    passed = (step - n_warmup) / max(1, n_steps - n_warmup)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * passed))
    return 1 - passed if schedule == "linear" else 1.0
