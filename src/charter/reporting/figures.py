"""Figures of the measurements and of the rounds: harmlessness against retention, response classes, effect per round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from charter.records import Measurement, Trace
from charter.reporting import wording
from charter.reporting.charts import (
    Chart,
    Classed,
    around,
    class_counts,
    model_colour,
    percent_axis,
    series_colour,
    stacked_shares,
    widest_reach,
)
from charter.reporting.reading import RunData
from charter.reporting.svg import COLOUR, draw, legible
from charter.reporting.verdict import REFERENCE_LOSS_LIMIT
from charter.statistics import Interval, rate_interval

ResponseClassOf = Callable[[str, str], str]
_Bounded = tuple[float, float | None, float | None]  # a value and its interval, where it has one


@dataclass(frozen=True)
class _Point:
    """A model in the plane: helpfulness across, harmlessness up; ``x`` of base is the origin and has no interval."""

    model: str
    x: _Bounded
    y: _Bounded


def tradeoff(data: RunData) -> Chart:
    """Draw harmlessness against retention, a point a model with both interval bars."""
    name, title = "tradeoff", "Harmlessness against helpfulness"
    measurements = data.evaluation.measurements if data.evaluation else ()
    up = _first(measurements, ("objection", "harmful_compliance"))
    across = _first([m for m in measurements if m.difference is not None or m.name == "win_rate_helpful"], _ACROSS)
    if up is None or across is None:
        return Chart(
            name, title, "Not drawn: it needs objection or harmful compliance, and reference loss or win rate."
        )
    models = data.evaluation.models if data.evaluation else ()
    points = [p for model in models if (p := _point(model, models[0], measurements, up.name, across.name)) is not None]
    is_loss = across.name == "reference_loss"
    y_label = "Objection, red-team prompts" if up.name == "objection" else "No harmful compliance, red-team prompts"
    x_label = (
        "Change of loss on reference answers (left is better)" if is_loss else "Preferred to base, helpful prompts"
    )

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.grid(visible=True)
        if is_loss:
            axes.axvline(REFERENCE_LOSS_LIMIT, color=COLOUR["muted"], linewidth=1, linestyle=(0, (4, 3)))
        for point in points:
            colour = model_colour(point.model, models)
            x_bar, y_bar = around(*point.x), around(*point.y)
            axes.errorbar([point.x[0]], [point.y[0]], xerr=x_bar, yerr=y_bar, color=colour, fmt="o", markersize=7)
            axes.annotate(
                legible(point.model), (point.x[0], point.y[0]), (7, 7), textcoords="offset points", color=colour
            )
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.margins(0.18, 0.12)
        percent_axis(axes.xaxis)
        percent_axis(axes.yaxis)

    caption = (
        f"One point a model, bars are 95 % intervals. Up: {wording.subject(up).lower()}"
        f"{'' if up.name == 'objection' else ' (drawn as its complement)'}, n {wording.count(up.n)}. Across: "
        f"{wording.subject(across).lower()}{', change from base' if is_loss else ''}, n {wording.count(across.n)}."
        f"{' The dashed line is the 3 % limit.' if is_loss else ''}"
    )
    label = f"{title}: " + "; ".join(f"{p.model} at {p.x[0]:.1%} across, {p.y[0]:.1%} up" for p in points)
    return Chart(name, title, caption, draw(name, label, 3.4, paint))


_ACROSS = ("reference_loss", "win_rate_helpful")


def _first(measurements: Any, names: tuple[str, ...]) -> Measurement | None:
    found = {m.name: m for m in reversed(measurements)}
    return next((found[name] for name in names if name in found), None)


def _point(model: str, base: str, measurements: tuple[Measurement, ...], up: str, across: str) -> _Point | None:
    own = {m.name: m for m in measurements if m.model == model}
    if up not in own:
        return None
    y = own[up]
    vertical = (y.value, y.low, y.high) if up == "objection" else _complement(y)
    origin = 0.0 if across == "reference_loss" else 0.5
    if model == base or across not in own:
        return _Point(model, (origin, origin, origin), vertical) if model == base else None
    x = own[across]
    if across != "reference_loss":
        return _Point(model, (x.value, x.low, x.high), vertical)
    if x.difference is None:
        return None
    base_value = x.value - x.difference
    if base_value <= 0:  # then no change is a share of it
        return None
    low, high = (None if end is None else end / base_value for end in (x.difference_low, x.difference_high))
    return _Point(model, (x.difference / base_value, low, high), vertical)


def _complement(m: Measurement) -> _Bounded:
    return (1 - m.value, None if m.high is None else 1 - m.high, None if m.low is None else 1 - m.low)


def response_classes(data: RunData) -> Chart:
    """Draw the shares of the response classes on red-team prompts, and over-refusal on benign twins, per model."""
    name, title = "classes", "Response classes"
    found = [r for r in data.responses if r.prompt.kind == "red_team"]
    models = list(data.evaluation.models) if data.evaluation else []
    models += sorted({r.model for r in found} - set(models))
    bars = {model: [(r.prompt.id, str(r.label)) for r in found if r.model == model] for model in reversed(models)}
    rows = [(model, class_counts(bar)) for model, bar in bars.items() if bar]
    if not rows:
        return Chart(name, title, f"Not drawn: {data.why_missing('data/responses.parquet')}")
    refusals = {
        m.model: m for m in (data.evaluation.measurements if data.evaluation else ()) if m.name == "over_refusal"
    }
    shown = [model for model, _ in rows if model in refusals]

    def paint(figure: Any) -> None:
        heights = [len(rows) + 1.2] + ([len(shown) + 0.4] if shown else [])
        panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        _class_panel(panels[0], rows)
        if shown:
            _refusal_panel(panels[1], [(model, refusals[model]) for model in shown], models)

    reach = widest_reach(bars.values())
    sizes = sorted({len(bar) for bar in bars.values() if bar})
    n = wording.count(sizes[0]) if len(sizes) == 1 else f"{wording.count(sizes[0])} to {wording.count(sizes[-1])}"
    over = ""
    if shown:
        n_twins = wording.count(refusals[shown[0]].n)
        over = f" Below: any answer but compliance to a benign twin, with 95 % intervals, n {n_twins}."
    caption = (
        f"Shares in per cent on {n} red-team prompts a model; 95 % intervals reach at most {reach:.1f} points from "
        f"their share.{over} Classes come from rules that learnt phrases can fool: read rows below."
    )
    spoken = "; ".join(
        f"{model}: " + ", ".join(f"{k} {v}" for k, v in sorted(c.items())) for model, c in reversed(rows)
    )
    return Chart(
        name, title, caption, draw(name, f"{title} on red-team prompts. {spoken}", 3.6 if shown else 2.4, paint)
    )


def _class_panel(axes: Any, rows: list[tuple[str, dict[str, int]]]) -> None:
    stacked_shares(axes, rows, horizontal=True)
    axes.set(xlim=(0, 1), yticks=range(len(rows)), yticklabels=[legible(model) for model, _ in rows])
    percent_axis(axes.xaxis)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title("Red-team prompts", pad=20)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=4, fontsize=9, borderaxespad=0)


def _refusal_panel(axes: Any, rows: list[tuple[str, Measurement]], models: list[str]) -> None:
    axes.grid(visible=True, axis="x")
    for place, (model, m) in enumerate(rows):
        bar = around(m.value, m.low, m.high)
        axes.errorbar([m.value], [place], xerr=bar, fmt="o", markersize=6, color=model_colour(model, models))
    axes.set(ylim=(-0.6, len(rows) - 0.4), yticks=range(len(rows)), yticklabels=[legible(model) for model, _ in rows])
    axes.set_xlim(0, max(0.1, *(1.08 * (m.value if m.high is None else m.high) for _, m in rows)))
    percent_axis(axes.xaxis)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title("Over-refusal, benign twins")


def effect_per_round(data: RunData, classify: ResponseClassOf) -> Chart:
    """Draw what each round of critique and revision did to red-team responses.

    Args:
        data: the run.
        classify: gives the response class of a response to a prompt.
    """
    name, title = "rounds", "Effect of each round"
    traces = [trace for trace in data.traces if trace.prompt.kind == "red_team"]
    if not traces:
        return Chart(name, title, f"Not drawn: {data.why_missing('data/traces.parquet')}")
    n_rounds = max(len(trace.rounds) for trace in traces)
    bars = [_classes_after(traces, number, classify) for number in range(n_rounds + 1)]
    rows = [class_counts(bar) for bar in bars]
    changed = [_share(traces, number, _is_changed) for number in range(1, n_rounds + 1)]
    flagged = [_share(traces, number, _is_flagged) for number in range(1, n_rounds + 1)]
    names = ["initial", *(f"round {number}" for number in range(1, n_rounds + 1))]

    def paint(figure: Any) -> None:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.5, 1])
        stacked_shares(top, list(zip(names, rows, strict=True)), horizontal=False)
        top.set(ylim=(0, 1), ylabel="Responses")
        top.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=4, fontsize=9, borderaxespad=0)
        bottom.grid(visible=True, axis="y")
        _share_line(bottom, changed, series_colour(4), "changed", -0.06)
        _share_line(bottom, flagged, series_colour(2), "flagged", 0.06)
        bottom.set(ylim=(0, 1.02), xticks=range(len(names)), xticklabels=names, ylabel="Revisions")
        if n_rounds:
            bottom.legend(loc="lower left", fontsize=9)
        for axes in (top, bottom):
            percent_axis(axes.yaxis)

    caption = (
        f"Above: response classes, read by rules, of {wording.count(len(traces))} red-team traces before and after "
        f"each round; 95 % intervals reach at most {widest_reach(bars):.1f} points from their share. Below: revisions "
        "that changed the response, and revisions with a quality flag, with 95 % intervals."
    )
    spoken = "; ".join(
        f"{when}: " + ", ".join(f"{k} {v}" for k, v in sorted(counts.items()))
        for when, counts in zip(names, rows, strict=True)
    )
    spoken += "".join(
        f"; {what}: {wording.listing([wording.value(share.value, 'rate') for share in shares])}"
        for what, shares in (("changed", changed), ("flagged", flagged))
        if shares
    )
    return Chart(name, title, caption, draw(name, f"{title}. {spoken}", 4.0, paint))


def text_after(trace: Trace, number: int) -> str:
    """The response as it stood after a round; 0 is the initial one."""
    return trace.rounds[number - 1].revision if number else trace.initial


def _classes_after(traces: list[Trace], number: int, classify: ResponseClassOf) -> Classed:
    reached = [trace for trace in traces if len(trace.rounds) >= number]
    return [(trace.prompt.id, str(classify(trace.prompt.text, text_after(trace, number)))) for trace in reached]


def _is_changed(trace: Trace, number: int) -> bool:
    return text_after(trace, number).strip() != text_after(trace, number - 1).strip()


def _is_flagged(trace: Trace, number: int) -> bool:
    return bool(trace.rounds[number - 1].flags)


def _share(traces: list[Trace], number: int, test: Callable[[Trace, int], bool]) -> Interval:
    reached = [trace for trace in traces if len(trace.rounds) >= number]
    return rate_interval([test(trace, number) for trace in reached], groups=[trace.prompt.id for trace in reached])


def _share_line(axes: Any, shares: list[Interval], colour: str, label: str, offset: float) -> None:
    for number, share in enumerate(shares, start=1):
        bar = around(share.value, share.low, share.high)
        axes.errorbar([number + offset], [share.value], yerr=bar, color=colour, fmt="none")
    places = [number + offset for number in range(1, len(shares) + 1)]
    axes.plot(places, [share.value for share in shares], color=colour, marker="o", markersize=5, label=label)
