"""What lm-eval found of each model as measurements: n, a 95 % interval, and the paired difference from the first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Any

from charter.evaluation.measuring import Better, adjusted, measure
from charter.records import Measurement

SAMPLES = "samples.jsonl"
_NO_FILTER = "none"
_STDERR = "_stderr"
_HALF_WIDTH = NormalDist().inv_cdf(0.975)  # standard errors


@dataclass(frozen=True)
class TaskFigure:
    """One metric of one task, as lm-eval gives it.

    Attributes:
        task: its name, or a group's.
        metric: with its filter behind a comma where it has one.
        value: lm-eval's own.
        stderr: lm-eval's own; None where it gives none.
        n: documents behind it.
        better: which direction is good.
        values: each document's value by its number; empty where the metric is no mean of them.
        groups: by number, what documents share that are the same one; None where each is one of its own.
    """

    task: str
    metric: str
    value: float
    stderr: float | None
    n: int
    better: Better
    values: Mapping[str, float]
    groups: Mapping[str, str] | None

    @property
    def name(self) -> str:
        """What the figure is called."""
        return f"{self.task}: {self.metric}"


def read_figures(found: Mapping[str, Any]) -> list[TaskFigure]:
    """Read every metric of every task and group from what lm-eval gives of one model, those with a value alone."""
    return [_figure(task, key, told, found) for task, told, key in _metrics(found) if math.isfinite(told[key])]


def metrics_without_value(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name the metrics that lm-eval could not give a finite value of one model, each as task and metric."""
    return [(task, _metric_name(key)) for task, told, key in _metrics(found) if not math.isfinite(told[key])]


def _metrics(found: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Give every metric that is a number: its task or group, what is told of that, and the key."""
    results, groups = found["results"], found.get("groups", {})
    for task, told in (*results.items(), *((group, told) for group, told in groups.items() if group not in results)):
        for key, value in told.items():
            if _is_metric(key) and _is_number(value):
                yield task, told, key


def measure_tasks(figures: Mapping[str, Sequence[TaskFigure]], *, base: str) -> list[Measurement]:
    """Measure each metric of each model; p-values are adjusted for all metrics of all tasks.

    A metric that is the mean of its documents' values gets the interval of these, in which the same document counts as
    one, and the difference from the base, document by document. Another has lm-eval's value, with the interval of
    lm-eval's standard error, and no difference.

    Args:
        figures: of each model.
        base: the model that others are compared with.
    """
    names = dict.fromkeys(one.name for several in figures.values() for one in several)
    measured = []
    for name in names:
        of_models = {model: one for model, several in figures.items() for one in several if one.name == name}
        measured += _measure(name, of_models, base)
    return adjusted(measured)


def _measure(name: str, figures: Mapping[str, TaskFigure], base: str) -> list[Measurement]:
    first = next(iter(figures.values()))
    if not all(one.values for one in figures.values()):
        return [_from_stderr(name, model, one) for model, one in figures.items()]
    outcomes = {value for one in figures.values() for value in one.values.values()}
    return measure(
        name,
        {model: one.values for model, one in figures.items()},
        subset=first.task,
        base=base,
        unit="rate" if outcomes <= {0.0, 1.0} else "score",
        better=first.better,
        rows=SAMPLES,
        groups=first.groups,
    )


def _from_stderr(name: str, model: str, figure: TaskFigure) -> Measurement:
    width = None if figure.stderr is None else _HALF_WIDTH * figure.stderr
    return Measurement(
        name=name,
        model=model,
        subset=figure.task,
        value=figure.value,
        low=None if width is None else figure.value - width,
        high=None if width is None else figure.value + width,
        n=figure.n,
        unit="score",
        better=figure.better,
        method="value and standard error are lm-eval's",
        rows=SAMPLES,
    )


def _figure(task: str, key: str, told: Mapping[str, Any], found: Mapping[str, Any]) -> TaskFigure:
    metric, _, filtered = key.partition(",")
    stderr = told.get(f"{metric}{_STDERR},{filtered}")
    samples = [one for one in found.get("samples", {}).get(task, ()) if one["filter"] == filtered]
    value = float(told[key])
    values = _values(samples, metric)
    is_mean = bool(values) and math.isclose(fmean(values.values()), value, rel_tol=1e-9, abs_tol=1e-12)
    higher = found.get("higher_is_better", {}).get(task, {}).get(metric)
    return TaskFigure(
        task,
        _metric_name(key),
        value,
        float(stderr) if stderr is not None and _is_number(stderr) and math.isfinite(stderr) else None,
        n=len(samples) or _n_of_group(told, key),
        better="neither" if higher is None else "higher" if higher else "lower",
        values=values if is_mean else {},
        groups=_groups(samples),
    )


def _metric_name(key: str) -> str:
    metric, _, filtered = key.partition(",")
    return metric if filtered == _NO_FILTER else key


def _n_of_group(told: Mapping[str, Any], key: str) -> int:
    counts = told.get("sample_count", {})
    return int(counts.get(key, told.get("sample_len", 0)))


def _values(samples: Iterable[Mapping[str, Any]], metric: str) -> dict[str, float]:
    """Give each document's value; none at all where one has something else than a number."""
    found: dict[str, Any] = {str(one["doc_id"]): one.get(metric) for one in samples}
    if not all(_is_number(value) for value in found.values()):
        return {}
    return {doc: float(value) for doc, value in found.items()}


def _groups(samples: Iterable[Mapping[str, Any]]) -> dict[str, str] | None:
    groups = {str(one["doc_id"]): str(one["doc_hash"]) for one in samples}
    return groups if len(set(groups.values())) < len(groups) else None


def _is_metric(key: str) -> bool:
    metric, comma, _ = key.partition(",")
    return bool(comma) and not metric.endswith(_STDERR)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or type(value).__module__ == "numpy"
