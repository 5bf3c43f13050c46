"""Adherence as plain values, and as people read it: each figure by model, and the margin by principle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from charter.cli import console
from charter.cli.evaluating.figure_table import write_figures
from charter.cli.results import plain

if TYPE_CHECKING:
    from charter.evaluation.adherence import ProbedModel
    from charter.evaluation.bench import Bench
    from charter.evaluation.judged import Judged
    from charter.evaluation.probe_loading import LoadedProbes
    from charter.records import Measurement


def describe(loaded: LoadedProbes, probed: Mapping[str, ProbedModel], judged: Judged, bench: Bench) -> dict[str, Any]:
    """Give everything that was found as plain values; p-values are adjusted for all tests beside one another."""
    from charter.evaluation.adherence import measure_probes
    from charter.evaluation.measuring import adjusted

    measurements = adjusted([*measure_probes(loaded.probes, probed, base=bench.base), *judged.measurements])
    return {
        "n_probes": len(loaded.probes.pairs),
        "left_out": dict(loaded.left_out),
        "measurements": [one.model_dump(mode="json") for one in measurements],
        "by_principle": _by_principle(measurements, loaded),
        "filtered": dict(bench.filtered),
        "failed": dict(bench.failed),
    }


def _by_principle(measurements: Sequence[Measurement], loaded: LoadedProbes) -> list[dict[str, Any]]:
    """Give each principle's mean of every figure, by model."""
    values: dict[str, dict[str, dict[str, list[float]]]] = {}
    for row in (row for one in measurements for row in one.measured):
        of_principle = values.setdefault(row.group or "", {}).setdefault(row.name, {})
        of_principle.setdefault(row.model, []).append(row.value)
    order = [one.id for one in loaded.probes.constitution.principles if one.id in values]
    return [
        {
            "principle": principle,
            "n": max(len(rows) for figure in values[principle].values() for rows in figure.values()),
            **{
                name: {model: fmean(rows) for model, rows in by_model.items()}
                for name, by_model in values[principle].items()
            },
        }
        for principle in order
    ]


def write_adherence(told: Mapping[str, Any]) -> None:
    """Print what was found; ``told`` is what ``--json`` prints."""
    names = [one["name"] for one in told["models"]]
    console.write(f"{told['constitution']}: {told['n_probes']:,} probes of {len(told['by_principle']):,} principles")
    for reason, n in told["left_out"].items():
        console.write(f"probes left out, {n:,}: {reason}")
    console.write()
    write_figures(told["measurements"])
    console.write()
    figures = {name for row in told["by_principle"] for name in row}
    for figure in ("adherence_margin", "judged_adherence"):
        if figure in figures:
            _write_principles(told["by_principle"], figure, names)
    for what in ("filtered", "failed"):
        for reason, n in told[what].items():
            console.write(f"{what}, {n:,}: {reason}")


def _write_principles(principles: Sequence[Mapping[str, Any]], figure: str, names: Sequence[str]) -> None:
    from charter.reporting import wording

    rows = [
        (
            one["principle"],
            str(one["n"]),
            *(plain(wording.value(one[figure][name], "score")) if name in one[figure] else "" for name in names),
        )
        for one in principles
        if figure in one
    ]
    header = (f"{wording.title(figure)} by principle", "n", *names)
    console.write_columns(header, rows, right=range(1, len(header)))
