"""From values per model and row to measurements: n, a 95 % interval, and the paired difference from the base."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from charter.records import MeasuredRow, Measurement
from charter.statistics import (
    ANY_NUMBER,
    TIE,
    even_test,
    holm,
    mean_interval,
    paired_mean_difference,
    paired_rate_difference,
    rate_interval,
)
from charter.statistics.resampling import Limits

#: What a model was measured at, by row: row ids pair the models.
RowValues = Mapping[str, float]
Groups = Mapping[str, str] | None
Unit = Literal["rate", "nats", "tokens", "score"]
Better = Literal["higher", "lower", "neither"]
_NO_LESS_THAN_ZERO = (0.0, math.inf)


def measure(
    name: str,
    values: Mapping[str, RowValues],
    *,
    subset: str,
    base: str | None = None,
    unit: Unit = "rate",
    better: Better = "neither",
    rows: str = "",
    groups: Mapping[str, str] | None = None,
    against_even: bool = False,
    limits: Limits | None = None,
) -> list[Measurement]:
    """Summarise one quantity for every model.

    Args:
        name: of the quantity.
        values: per model, the value of every row; for ``rate`` 0 or 1, and a half for a tie.
        subset: which rows these are.
        base: the model that others are compared with, on the rows both have; None compares nothing.
        unit: ``rate`` values are outcomes, others are averaged.
        better: which direction is good.
        rows: the file that holds the rows behind it.
        groups: the group of each row, where rows hang together (a prompt and its twin, pairs of one prompt): they
            count as the rows that they are worth.
        against_even: whether one half is what chance gives, and each model is tested against it.
        limits: what no mean can exceed; None says nothing of a score.
    """
    return [
        _with_difference(
            Measurement(
                name=name,
                model=model,
                subset=subset,
                unit=unit,
                better=better,
                rows=rows,
                measured=tuple(_measured_rows(name, subset, model, own, groups)),
                **_interval(own, unit, groups, limits),
                **(_against_even(own, groups) if against_even else {}),
            ),
            own,
            values.get(base or "", {}) if model != base else {},
            base,
            groups,
        )
        for model, own in values.items()
        if own
    ]


def adjusted(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Adjust the p-values of figures that are told beside one another for their number (see ``statistics.holm``)."""
    p_values = iter(holm([one.p_value for one in measurements if one.p_value is not None]))
    return [one if one.p_value is None else one.model_copy(update={"p_value": next(p_values)}) for one in measurements]


def _measured_rows(name: str, subset: str, model: str, values: RowValues, groups: Groups) -> Iterator[MeasuredRow]:
    for row, value in values.items():
        group = None if groups is None else groups[row]
        yield MeasuredRow(name=name, subset=subset, model=model, row=row, group=group, value=value)


def _interval(values: RowValues, unit: Unit, groups: Groups, limits: Limits | None) -> dict[str, Any]:
    numbers, shared = list(values.values()), _groups_of(list(values), groups)
    if unit == "rate":
        found = rate_interval(numbers, groups=shared)
    else:
        by_unit = (
            _NO_LESS_THAN_ZERO if unit in {"nats", "tokens"} else ANY_NUMBER
        )  # a score such as a margin can be less
        found = mean_interval(numbers, groups=shared, limits=limits or by_unit)
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n, "n_groups": found.n_groups}


def _against_even(values: RowValues, groups: Groups) -> dict[str, Any]:
    p_value, method = even_test(list(values.values()), groups=_groups_of(list(values), groups))
    n_decided = sum(value != TIE for value in values.values())
    return {"p_value": p_value, "method": f"{n_decided} decided rows against one half; {method}"}


def _groups_of(rows: Sequence[str], groups: Groups) -> list[str] | None:
    return None if groups is None else [groups[row] for row in rows]


def _with_difference(
    measurement: Measurement, own: RowValues, other: RowValues, base: str | None, groups: Groups
) -> Measurement:
    shared = [row for row in own if row in other]
    if not shared:
        return measurement
    before, after = _paired(shared, other, own)
    outcomes = _are_outcomes(own, measurement.unit) and _are_outcomes(other, measurement.unit)
    compare = paired_rate_difference if outcomes else paired_mean_difference
    found = compare(before, after, groups=_groups_of(shared, groups))
    in_groups = "" if found.n_groups is None else f" in {found.n_groups} groups"
    return measurement.model_copy(
        update={
            "base": base,
            "difference": found.difference,
            "difference_low": found.low,
            "difference_high": found.high,
            "p_value": found.p_value,
            "method": f"paired on {found.n} rows{in_groups}; {found.method}",
        }
    )


def _paired(rows: Sequence[str], base: RowValues, own: RowValues) -> tuple[list[float], list[float]]:
    return [base[row] for row in rows], [own[row] for row in rows]


def _are_outcomes(values: RowValues, unit: Unit) -> bool:
    """Ties make halves, of which no row can be said to have changed."""
    return unit == "rate" and all(value in (0.0, 1.0) for value in values.values())
