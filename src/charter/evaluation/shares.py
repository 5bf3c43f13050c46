"""How many rows are of each name, and their share."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from charter.statistics import Interval, rate_interval

NameT = TypeVar("NameT", bound=Hashable)


@dataclass(frozen=True)
class Share:
    """How many rows are of a name, and their share."""

    count: int
    rate: Interval


def shares_of(said: Sequence[NameT], names: Sequence[NameT], groups: Sequence[str]) -> dict[NameT, Share]:
    """Count at least one row by name, and bound each name's share; rows of one group hang together."""
    found = {name: [one == name for one in said] for name in names}
    return {name: Share(sum(hits), rate_interval(hits, groups=groups)) for name, hits in found.items()}
