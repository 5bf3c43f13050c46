"""Charter's figures as metrics of Inspect: a share or a mean with n and its 95 % interval, by groups of samples."""

from __future__ import annotations

import math

from inspect_ai.scorer import Metric, SampleScore, Value, metric

from charter.statistics import Interval, mean_interval, rate_interval

GROUP = "group"  # the key of a sample's metadata that says what it hangs together with


@metric
def share() -> Metric:
    """Give the share of samples whose value is 1, with n and its 95 % interval (see ``rate_interval``)."""

    def of(scores: list[SampleScore]) -> Value:
        values, groups = _read(scores)
        return _told("share", rate_interval(values, groups=groups)) if values else _nothing("share")

    return of


@metric
def average() -> Metric:
    """Give the mean of the samples' values from 0 to 1, with n and its 95 % interval (see ``mean_interval``)."""

    def of(scores: list[SampleScore]) -> Value:
        values, groups = _read(scores)
        if not values:
            return _nothing("mean")
        return _told("mean", mean_interval(values, groups=groups, limits=(0.0, 1.0)))

    return of


def _read(scores: list[SampleScore]) -> tuple[list[float], list[str]]:
    """Read the values of samples that have one, and their groups: samples that are all of one bound next to nothing.

    Inspect itself leaves out what has none, and counts it as unscored.
    """
    read = [(one.score.as_float(), str((one.sample_metadata or {}).get(GROUP, one.sample_id))) for one in scores]
    valid = [(value, group) for value, group in read if not math.isnan(value)]
    return [value for value, _ in valid], [group for _, group in valid]


def _told(name: str, found: Interval) -> Value:
    low, high = (math.nan if end is None else end for end in (found.low, found.high))
    return {name: found.value, "low": low, "high": high, "n": found.n}


def _nothing(name: str) -> Value:
    return {name: math.nan, "low": math.nan, "high": math.nan, "n": 0}
