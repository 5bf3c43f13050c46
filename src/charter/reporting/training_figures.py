"""Figures of the two trainings: loss, and for DPO accuracy and margin."""

from __future__ import annotations

import math
from typing import Any

from charter.reporting import wording
from charter.reporting.charts import Chart, percent_axis
from charter.reporting.reading import RunData, Training
from charter.reporting.svg import COLOUR, draw

_TITLES = {"sft": "SFT training", "dpo": "DPO training"}
_PANELS = (
    ("loss", "Loss", "blue"),
    ("accuracy", "Accuracy", "vermilion"),
    ("margin", "Margin", "green"),
)
_MARK_UP_TO = 40  # log lines that are still told apart as dots


def training_curves(data: RunData, stage: str) -> Chart:
    """Draw what a training stage (``sft`` or ``dpo``) logged, one panel a quantity."""
    name, title = f"training-{stage}", _TITLES[stage]
    result = data.stages.get(stage)
    if result is None or result.training is None or not result.training.steps:
        return Chart(name, title, f"Not drawn: {_why_not(data, stage)}")
    training = result.training
    curves = [(label, colour, curve) for key, label, colour in _PANELS if (curve := _curve(training, key))]
    if not curves:
        return Chart(name, title, "Not drawn: the training log holds no loss.")

    def paint(figure: Any) -> None:
        panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (label, colour, curve) in zip(panels, curves, strict=True):
            axes.grid(visible=True, axis="y")
            marker = "o" if len(curve) <= _MARK_UP_TO else ""
            steps, values = [step for step, _ in curve], [value for _, value in curve]
            axes.plot(steps, values, color=COLOUR[colour], linewidth=1.6, marker=marker, markersize=3)
            axes.set_ylabel(label)
            axes.locator_params(axis="y", nbins=5)
            if label == "Accuracy":
                axes.set_ylim(0, 1.02)
                percent_axis(axes.yaxis)
        panels[-1].set_xlabel("Optimiser step")
        panels[-1].xaxis.get_major_locator().set_params(integer=True)
        figure.align_ylabels()

    ends = "; ".join(f"{label.lower()} {curve[0][1]:.3f} to {curve[-1][1]:.3f}" for label, _, curve in curves)
    caption = (
        f"{wording.count(training.n_rows)} rows, {wording.count(training.n_loss_tokens)} of "
        f"{wording.count(training.n_tokens)} tokens bear loss, {wording.duration(training.seconds)}. From first to "
        f"last logged step: {ends}. One training: no interval."
    )
    return Chart(name, title, caption, draw(name, f"{title}: {ends}", 2.0 + 0.85 * len(curves), paint))


def _curve(training: Training, key: str) -> list[tuple[float, float]]:
    return [
        (float(step["step"]), float(step[key]))
        for step in training.steps
        if _is_number(step.get("step")) and _is_number(step.get(key))
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _why_not(data: RunData, stage: str) -> str:
    if stage not in data.planned_stages:
        return f"the recipe has no {stage} stage."
    if stage not in data.stages:
        return f"the {stage} stage has not finished."
    training = data.stages[stage].training
    return f"{training.skipped}." if training and training.skipped else f"the {stage} stage logged no steps."
