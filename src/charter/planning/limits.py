"""What gives first as a run grows: of each thing that grows with its prompts, how many use it up. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from charter.planning.costs import ALL_ANSWERS, Cost
from charter.planning.plan import Plan
from charter.planning.volume import measure_volume, starting_seconds

_HOUR = 3600.0
_DAY = 24 * _HOUR
_WEEK = 7 * _DAY
_DISK = 1e12
_GIB = 2**30


@dataclass(frozen=True)
class Grown:
    """A run with so many red-team prompts to train on."""

    n_prompts: float
    plan: Plan
    cost: Cost

    @property
    def driving(self) -> float:
        """The most seconds of the processes beside the models, as they are in the cost."""
        return sum(stage.driving.high for stage in self.cost.stages)

    @property
    def of_models(self) -> float:
        """The most seconds of the models."""
        return sum(stage.of_models for stage in self.cost.stages)


@dataclass(frozen=True)
class Limit:
    """Something that is used up at about so many prompts, and what to do about it."""

    what: str
    n_prompts: float
    remedy: str


def find_limits(small: Grown, large: Grown) -> list[Limit]:
    """List what grows with the prompts, what gives first at the top; all of it grows in a straight line.

    Args:
        small: a run.
        large: the same run with more prompts.
    """
    found = [limit for limit in _limits(small, large) if limit.n_prompts < float("inf")]
    return sorted(found, key=lambda limit: limit.n_prompts)


def _limits(small: Grown, large: Grown) -> Iterator[Limit]:
    few, many = measure_volume(small.plan), measure_volume(large.plan)
    host = small.cost.machine.host

    def used_up(least: float, most: float, limit: float) -> float:
        slope = (most - least) / (large.n_prompts - small.n_prompts)
        return max(0.0, small.n_prompts + (limit - least) / slope) if slope > 0 else float("inf")

    yield Limit(
        f"the process that holds all rows of {many.fullest} fills the machine's {host / _GIB:,.0f} GiB of memory",
        used_up(few.memory, many.memory, host),
        "divide the prompts among several runs, on several machines",
    )
    if large.cost.fits:
        slowest = max(large.cost.stages, key=lambda stage: stage.of_models)
        by_ray = ", whose answers --on ray shares" if any(one.key == ALL_ANSWERS for one in slowest.remarks) else ""
        yield Limit(
            "the models take a week",
            used_up(small.of_models, large.of_models, _WEEK),
            f"take more devices; most of it is {slowest.stage}{by_ray}",
        )
    yield Limit(
        "the process takes a day beside the models (requests, journal, flags)",
        used_up(small.driving, large.driving, _DAY),
        "divide the prompts among several runs",
    )
    yield Limit(
        "every start takes an hour (files are read, near-duplicates looked for)",
        used_up(starting_seconds(small.plan).high, starting_seconds(large.plan).high, _HOUR),
        "divide the prompts among several runs",
    )
    yield Limit("the run's folder takes a terabyte", used_up(few.disk, many.disk, _DISK), "give it a larger disk")
