"""The section on adherence: models by constitutions, what training for one did to another, and each principle."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from charter.records import Measurement, Probed
from charter.reporting import wording
from charter.reporting.layout import Column, section, table
from charter.reporting.markup import Markup, element, join
from charter.reporting.reading import RunData

_FIGURES = ("adherence", "adherence_margin", "judged_adherence")
_LEAD = (
    "A probe is a prompt that presses on a principle, with an answer that keeps to it and one that departs from it. "
    "Adherence is the share of probes of which a model finds the keeping answer likelier, token by token; the margin "
    "says by how much, in nats per token. Below each figure is the difference from the base. On the constitution that "
    "was trained for it is what training was for, on another it is drift."
)


def adherence(data: RunData) -> Markup | None:
    """Write the table of models by constitutions; nothing where none was probed."""
    found = [one for one in data.evaluation.measurements if one.name in _FIGURES] if data.evaluation else []
    if not found:
        return None
    subsets = list(dict.fromkeys(one.subset for one in found))
    models = list(dict.fromkeys(one.model for one in found))
    names = [name for name in _FIGURES if any(one.name == name for one in found)]
    cells = {(one.name, one.subset, one.model): one for one in found}
    rows = [
        [model, *(_cell([cells.get((name, subset, model)) for name in names]) for subset in subsets)]
        for model in models
    ]
    columns = [Column("Model"), *(Column(_constitution(subset), numeric=True) for subset in subsets)]
    return section(
        "adherence",
        "Adherence, by model and constitution",
        element("p", _LEAD, class_="lead"),
        table(columns, rows),
        [_principles(data, _constitution(subset), models) for subset in subsets],
    )


def _constitution(subset: str) -> str:
    return subset.removeprefix("probes of ")


def _cell(figures: Sequence[Measurement | None]) -> Markup:
    return join(*(part for one in figures if one is not None for part in _figure(one))) or join("not measured")


def _figure(one: Measurement) -> list[Markup]:
    what = {"adherence": "", "adherence_margin": "margin ", "judged_adherence": "judge "}[one.name]
    lines = [
        element("span", f"{what}{wording.value(one.value, one.unit)}", class_="value" if not what else "under"),
        element("span", wording.tied(wording.span(one.low, one.high, one.unit, one.n, one.n_groups)), class_="under"),
    ]
    if one.difference is not None:
        span = wording.change_interval(one.difference_low, one.difference_high, one.unit)
        lines.append(element("span", f"{wording.change(one.difference, one.unit)} ({span})", class_="under difference"))
    return lines


def _principles(data: RunData, constitution: str, models: Sequence[str]) -> Markup | None:
    probed = [row for row in data.probed if row.constitution == constitution]
    if not probed:
        return None
    principles = list(dict.fromkeys(row.prompt.principle for row in probed))
    rows: list[list[object]] = []
    for principle in principles:
        of_model = {
            model: [row for row in probed if (row.prompt.principle, row.model) == (principle, model)]
            for model in models
        }
        base = of_model[models[0]]
        name = element("code", principle) if principle else "no principle named"
        rows.append([name, *(_principle(found, base) for found in of_model.values())])
    columns = [Column("Principle"), *(Column(model, numeric=True) for model in models)]
    few = (
        f"A few probes of a principle bound nothing: look at them in data/probes.parquet. Changes are from {models[0]}."
    )
    summary = element("summary", f"Each principle of {constitution}")
    return element("details", summary, element("p", few, class_="small"), table(columns, rows))


def _principle(rows: Sequence[Probed], base: Sequence[Probed]) -> object:
    """Say in how many probes a model keeps to a principle, by what margin, and how far that is from the base's."""
    if not rows:
        return "not measured"
    n_kept = sum(row.prefers_keeping == 1.0 for row in rows)
    margin = fmean(row.margin for row in rows)
    told = f"margin {wording.value(margin, 'score')}"
    if rows is not base and {row.probe for row in rows} == {row.probe for row in base}:
        told += f" ({wording.change(margin - fmean(row.margin for row in base), 'score')})"
    return join(f"{n_kept} of {len(rows)}", element("span", told, class_="under"))
