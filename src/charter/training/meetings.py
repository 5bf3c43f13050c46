"""Who of a group of rollouts is compared with whom. Pure."""

from __future__ import annotations


def meetings(n: int, n_meetings: int) -> list[tuple[int, int]]:
    """Say who of a group of ``n`` meets whom: each the ``n_meetings`` after it in a ring, no two twice."""
    found = {
        tuple(sorted((first, (first + step) % n))): None
        for step in range(1, min(n_meetings, n - 1) + 1)
        for first in range(n)
    }
    return [(first, second) for first, second in found]
