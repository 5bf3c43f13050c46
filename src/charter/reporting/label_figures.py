"""Figures of the judge's labels: how sure they are, whether they follow position, how much the letters weigh."""

from __future__ import annotations

from collections import Counter
from statistics import fmean
from typing import Any

from charter.feedback.votes import both_orders
from charter.reporting import wording
from charter.reporting.charts import Chart, percent_axis, series_colour
from charter.reporting.reading import RunData
from charter.reporting.svg import COLOUR, draw, legible

_PART = "data/preferences.parquet"
_N_BINS = 20
_BIGGEST_MARK = 90.0  # square points: a mark that fills its bin
_MOST_SOURCES = 6


def label_distribution(data: RunData) -> Chart:
    """Draw how sure the labels are: a histogram of ``p_chosen`` per source."""
    name, title = "labels", "How sure the labels are"
    if not data.preferences:
        return Chart(name, title, f"Not drawn: {data.why_missing(_PART)}")
    sizes = Counter(p.source for p in data.preferences)
    sources = sorted(source for source, _ in sizes.most_common(_MOST_SOURCES))
    values = {source: [p.p_chosen for p in data.preferences if p.source == source] for source in sources}

    def paint(figure: Any) -> None:
        panels = figure.subplots(len(sources), 1, sharex=True, squeeze=False)[:, 0]
        for place, (axes, source) in enumerate(zip(panels, sources, strict=True)):
            shares = [1 / len(values[source])] * len(values[source])
            axes.hist(
                values[source], bins=_N_BINS, range=(0.5, 1), weights=shares, color=series_colour(place), rwidth=0.92
            )
            axes.set_title(f"{legible(source)}, n {len(values[source])}", fontsize=9)
            axes.set_xlim(0.5, 1)
            axes.locator_params(axis="y", nbins=3)
            percent_axis(axes.yaxis)
        panels[-1].set_xlabel("p_chosen (0.5: the judge cannot tell; 1: certain)")

    means = "; ".join(f"{source} {fmean(values[source]):.2f} (n {len(values[source])})" for source in sources)
    left_out = len(sizes) - len(sources)
    more = f" The {left_out} smallest sources are not drawn." if left_out > 0 else ""
    caption = (
        f"Share of {wording.count(sum(sizes.values()))} preferences by p_chosen, per source. Means: {means}.{more}"
    )
    height = 0.7 + 0.95 * len(sources)
    return Chart(name, title, caption, draw(name, f"{title}. Mean p_chosen: {means}", max(3.0, height), paint))


def position_bias(data: RunData) -> Chart:
    """Draw P(a is better) asked in both orders against each other: a judge without position bias is on the diagonal."""
    name, title = "position", "Position bias"
    orders = both_orders(data.preferences)
    if not orders:
        reason = "no verdict was read in both orders." if data.preferences else data.why_missing(_PART)
        return Chart(name, title, f"Not drawn: {reason}")
    cells = Counter((_bin(both.shown_first), _bin(both.shown_second)) for both in orders)
    most = max(cells.values())

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.axhline(0.5, color=COLOUR["grid"], linewidth=1)
        axes.axvline(0.5, color=COLOUR["grid"], linewidth=1)
        axes.plot([0, 1], [0, 1], color=COLOUR["muted"], linewidth=1, linestyle=(0, (4, 3)))
        places = sorted(cells)
        axes.scatter(
            [(x + 0.5) / _N_BINS for x, _ in places],
            [(y + 0.5) / _N_BINS for _, y in places],
            s=[max(6.0, _BIGGEST_MARK * cells[place] / most) for place in places],
            marker="s",
            color=COLOUR["blue"],
            linewidths=0,
        )
        for x, y, text, side in ((0.98, 0.03, "picks the first", "right"), (0.02, 0.95, "picks the second", "left")):
            axes.text(x, y, text, ha=side, color=COLOUR["muted"], fontsize=9)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set(xlabel="P(a is better), a shown first", ylabel="P(a is better), b shown first")

    picks = Counter(both.picks for both in orders)
    n = len(orders)
    shares = (
        f"the same response in {wording.value(picks['response'] / n, 'rate')}, the first position in "
        f"{wording.value(picks['first'] / n, 'rate')}, the second in {wording.value(picks['second'] / n, 'rate')}"
    )
    caption = (
        f"{wording.count(n)} pairs of verdicts (one pair and one principle, both orders): the judge picks {shares}. "
        "A square's area is the number of pairs there; without position bias all lie on the dashed diagonal."
    )
    return Chart(name, title, caption, draw(name, f"{title}: the judge picks {shares}", 4.2, paint))


def _bin(probability: float) -> int:
    return min(_N_BINS - 1, int(probability * _N_BINS))


def option_mass(data: RunData) -> Chart:
    """Draw how much probability the judge gave to the two letters together."""
    name, title = "mass", "Option mass"
    masses = [v.option_mass for p in data.preferences for v in p.verdicts if v.option_mass is not None]
    if not masses:
        reason = "no verdict carries an option mass." if data.preferences else data.why_missing(_PART)
        return Chart(name, title, f"Not drawn: {reason}")
    label = data.recipe.get("label")
    least = label.get("min_option_mass") if isinstance(label, dict) else None
    limit = float(least) if isinstance(least, int | float) else None

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.grid(visible=True, axis="y")
        shares = [1 / len(masses)] * len(masses)
        axes.hist(masses, bins=_N_BINS, range=(0, 1), weights=shares, color=COLOUR["blue"], rwidth=0.92)
        if limit is not None:
            axes.axvline(limit, color=COLOUR["muted"], linewidth=1, linestyle=(0, (4, 3)))
        axes.set(xlim=(0, 1), xlabel="P(letter A) + P(letter B)", ylabel="Verdicts")
        percent_axis(axes.yaxis)

    below = sum(mass < limit for mass in masses) if limit is not None else 0
    caption = (
        f"{wording.count(len(masses))} verdicts of labelled pairs, mean {fmean(masses):.2f}."
        + (
            f" {wording.count(below)} lie below the limit of {limit:g} (dashed) and are invalid."
            if limit is not None
            else ""
        )
        + " A low mass says that the judge wanted to answer with something other than a letter."
    )
    return Chart(name, title, caption, draw(name, f"{title}: {caption}", 3.0, paint))
