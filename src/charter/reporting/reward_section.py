"""What a preference model is worth on pairs that it was not trained on: a table, and how far its word can be taken."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError

from charter.recipe.stages import in_iteration
from charter.reporting import wording
from charter.reporting.charts import Chart, percent_axis
from charter.reporting.layout import Column, section, table
from charter.reporting.markup import Markup, element, join
from charter.reporting.reading import RunData
from charter.reporting.svg import COLOUR, draw
from charter.reporting.told import Lenient

_STAGE = "preference_model"
_TITLE = "Preference model"
_CALIBRATION = "Calibration error"
_SMALLEST, _LARGEST = 12.0, 160.0  # square points: of a mark of few pairs, and of all
_LEAD = (
    "The reward of a response is read off its last token; the side with the higher one is the one that the model "
    "prefers. Accuracy is the share of pairs whose likelier side, by their label, it prefers; ties of labels are left "
    "out. Intervals resample groups of prompts whole. Behind every figure are rows of"
)


class Bound(Lenient):
    """A figure with its interval, as the stage wrote it."""

    value: float
    low: float | None
    high: float | None
    n: int
    n_groups: int | None = None


class _Bin(Lenient):
    n: int
    confidence: float
    frequency: float


class RewardFigures(Lenient):
    """The figures that the stage wrote of some pairs (see ``training.reward_quality``)."""

    n: int
    accuracy: Bound | None
    where_shorter: Bound | None
    where_longer: Bound | None
    brier: Bound
    ece: float
    bins: tuple[_Bin, ...]
    length_correlation: Bound
    by_source: dict[str, Bound | None] = Field(default={})
    by_kind: dict[str, Bound | None] = Field(default={})


def read_figures(data: RunData, side: str, stage: str = _STAGE) -> RewardFigures | None:
    """Read what a stage measured on a side, ``held_out`` or ``trained_on``; None where it measured nothing."""
    result = data.stages.get(stage)
    return None if result is None else figures_of(getattr(result, side))


def figures_of(found: Any) -> RewardFigures | None:
    """Read figures from a summary's JSON; None where there are none, or they are damaged."""
    try:
        return None if found is None else RewardFigures.model_validate(found)
    except ValidationError:
        return None


def rewards(data: RunData, iteration: int = 1) -> Markup | None:
    """Write the figures of held-out pairs, and of pairs that were trained on beside them; nothing without a stage."""
    stage = in_iteration(_STAGE, iteration)
    if stage not in data.planned_stages:
        return None
    anchor, title = in_iteration("rewards", iteration), wording.of_iteration(_TITLE, iteration)
    sides = {side: read_figures(data, side, stage) for side in ("held_out", "trained_on")}
    held_out = sides["held_out"]
    if held_out is None:
        return section(anchor, title, element("p", _why_none(data, stage), class_="missing"))
    columns = [Column("Figure"), Column("Held out", numeric=True), Column("Trained on", numeric=True)]
    other = sides["trained_on"]
    rows = [[name, _cell(held_out, name), _cell(other, name)] for name in _names(held_out)]
    return section(
        anchor,
        title,
        element("p", _LEAD, " ", element("code", f"data/{anchor}.parquet"), ".", class_="lead"),
        table(columns, rows),
    )


def reward_calibration(data: RunData, iteration: int = 1) -> Chart | None:
    """Draw how often labels are for the side that the model prefers against how sure it is; None without a stage."""
    stage = in_iteration(_STAGE, iteration)
    if stage not in data.planned_stages:
        return None
    name = in_iteration("reward-calibration", iteration)
    title = wording.of_iteration("Calibration of the preference model", iteration)
    found = read_figures(data, "held_out", stage)
    if found is None:
        return Chart(name, title, f"Not drawn: {_why_none(data, stage)}")
    sure, frequent = [one.confidence for one in found.bins], [one.frequency for one in found.bins]
    areas = [_SMALLEST + (_LARGEST - _SMALLEST) * one.n / found.n for one in found.bins]

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot((0.5, 1), (0.5, 1), color=COLOUR["grey"], linewidth=1, linestyle="--")
        axes.plot(sure, frequent, color=COLOUR["blue"], linewidth=1, alpha=0.6)
        axes.scatter(sure, frequent, s=areas, color=COLOUR["blue"])
        axes.set(xlim=(0.48, 1.02), ylim=(-0.02, 1.02), xlabel="How sure the model is", ylabel="Labels that agree")
        percent_axis(axes.xaxis)
        percent_axis(axes.yaxis)

    caption = (
        f"{wording.count(found.n)} held-out pairs; marks are as large as they stand for many. On the dashed line the "
        f"model is right as often as it says. Expected calibration error {found.ece:.3f}, Brier score against these "
        f"labels, soft as they are, {found.brier.value:.3f} "
        f"({wording.interval(found.brier.low, found.brier.high, 'score')})."
    )
    return Chart(name, title, caption, draw(name, f"{title}: error {found.ece:.3f}", 3.4, paint))


def named_bounds(figures: RewardFigures) -> dict[str, Bound | None]:
    """Name every figure that has an interval; None where there are no such pairs."""
    parts = {f"Accuracy, {part}": bound for part, bound in {**figures.by_source, **figures.by_kind}.items()}
    return {
        "Accuracy": figures.accuracy,
        "Accuracy where the shorter side is likelier": figures.where_shorter,
        "Accuracy where the longer side is likelier": figures.where_longer,
        **parts,
        "Brier score": figures.brier,
        "Rank correlation of reward and tokens": figures.length_correlation,
    }


def bound_unit(name: str) -> str:
    """Give the unit of a figure that ``named_bounds`` names."""
    return "rate" if name.startswith("Accuracy") else "score"


def _names(figures: RewardFigures) -> list[str]:
    names = list(named_bounds(figures))
    return [*names[:-2], _CALIBRATION, *names[-2:]]


def _cell(figures: RewardFigures | None, name: str) -> Markup:
    if figures is None:
        return join("not measured")
    if name == _CALIBRATION:
        return element("span", f"{figures.ece:.3f}", class_="value")
    bound = named_bounds(figures).get(name)
    if bound is None:
        return join("no such pairs")
    unit = bound_unit(name)
    span = wording.tied(wording.span(bound.low, bound.high, unit, bound.n, bound.n_groups))
    value = wording.value(bound.value, unit)
    return join(element("span", value, class_="value"), element("span", span, class_="under"))


def _why_none(data: RunData, stage: str) -> str:
    if stage not in data.stages:
        return f"The {stage} stage has not finished."
    training = data.stages[stage].training
    return f"{training.skipped}." if training and training.skipped else "No pair was held out."
