"""Figures of the judge's labels: how sure they are, whether they follow position, how much the letters weigh."""

from __future__ import annotations

from collections import Counter
from statistics import fmean
from typing import Any

from charter.feedback.agreement import Agreement, agreements
from charter.feedback.votes import both_orders
from charter.reporting import wording
from charter.reporting.charts import Chart, percent_axis, series_colour
from charter.reporting.reading import RunData
from charter.reporting.svg import COLOUR, draw, legible

_PART = "data/preferences.parquet"
_N_BINS = 20
_BIGGEST_MARK = 90.0  # square points: a mark that fills its bin
_MOST_SOURCES = 6
_MOST_PRINCIPLES = 24  # of a heat map
_MOST_WRITTEN = 10  # principles: in larger maps a cell has no room for its figure


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
    orders = both_orders(data.judged)
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


def principle_agreement(data: RunData) -> Chart:
    """Draw how often two principles prefer the same response, of the pairs that both voted on: a heat map."""
    name, title = "agreement", "Agreement of principles"
    found = [one for one in agreements(data.preferences) if one.same is not None]
    if not found:
        reason = "no pair has votes of two principles." if data.preferences else data.why_missing(_PART)
        return Chart(name, title, f"Not drawn: {reason}")
    n_pairs = Counter[str]()
    for one in found:
        n_pairs.update({one.one: _n(one), one.other: _n(one)})
    shown = sorted(principle for principle, _ in n_pairs.most_common(_MOST_PRINCIPLES))
    cells = [one for one in found if one.one in shown and one.other in shown]

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        places = {principle: place for place, principle in enumerate(shown)}
        for one in cells:
            for x, y in ((places[one.one], places[one.other]), (places[one.other], places[one.one])):
                _agreement_cell(axes, x, y, one, is_written=len(shown) <= _MOST_WRITTEN)
        numbers = [str(place + 1) for place in range(len(shown))]
        axes.set(xlim=(-0.5, len(shown) - 0.5), ylim=(len(shown) - 0.5, -0.5), aspect="equal")
        axes.set_xticks(range(len(shown)), numbers)
        axes.set_yticks(range(len(shown)), [f"{legible(one)} {place + 1}" for place, one in enumerate(shown)])
        axes.tick_params(length=0)

    n_votes = sum(_n(one) for one in found)
    left_out = len(n_pairs) - len(shown)
    more = f" The {left_out} principles with the fewest pairs are not drawn." if left_out else ""
    lowest, highest = min(cells, key=_high), max(cells, key=_low)
    ends = f"most surely low between {_told(lowest)}, most surely high between {_told(highest)}"
    caption = (
        f"{wording.count(n_votes)} times two principles voted on one pair. Blue: they mostly prefer the same response; "
        "vermilion: mostly different ones; pale: as often the one as the other; empty: never both. Agreement is "
        f"{ends}. Under Label quality they stand with n and interval.{more}"
    )
    height = 1.2 + 0.26 * max(6, len(shown))
    return Chart(name, title, caption, draw(name, f"{title}: {ends}", min(6.4, height), paint))


def _agreement_cell(axes: Any, x: int, y: int, one: Agreement, *, is_written: bool) -> None:
    lean = 2 * _value(one) - 1
    colour = COLOUR["blue" if lean >= 0 else "vermilion"]
    axes.bar([x], [0.94], bottom=[y - 0.47], width=0.94, color=colour, alpha=0.1 + 0.75 * abs(lean), linewidth=0)
    if is_written:
        axes.text(x, y, f"{100 * _value(one):.0f}", ha="center", va="center", color=COLOUR["ink"], fontsize=8)


def _n(one: Agreement) -> int:
    return one.same.n if one.same else 0


def _value(one: Agreement) -> float:
    return one.same.value if one.same else 0.0


def _low(one: Agreement) -> float:
    return (one.same.low if one.same else None) or 0.0


def _high(one: Agreement) -> float:
    return 1.0 if one.same is None or one.same.high is None else one.same.high


def _told(one: Agreement) -> str:
    return f"{one.one} and {one.other} ({wording.value(_value(one), 'rate')}, n {_n(one)})"


def _bin(probability: float) -> int:
    return min(_N_BINS - 1, int(probability * _N_BINS))


def option_mass(data: RunData) -> Chart:
    """Draw how much probability the judge gave to the two letters together."""
    name, title = "mass", "Option mass"
    masses = [v.option_mass for p in data.judged for v in p.verdicts if v.option_mass is not None]
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
        f"{wording.count(len(masses))} verdicts, mean {fmean(masses):.2f}."
        + (
            f" {wording.count(below)} lie below the limit of {limit:g} (dashed) and are invalid."
            if limit is not None
            else ""
        )
        + " A low mass says that the judge wanted to answer with something other than a letter."
    )
    return Chart(name, title, caption, draw(name, f"{title}: {caption}", 3.0, paint))
