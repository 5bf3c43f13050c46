"""Figures of the trainings: loss, on pairs accuracy, margin and what the model gives to either side, and answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charter.recipe.stages import parted
from charter.reporting import wording
from charter.reporting.charts import Chart, percent_axis
from charter.reporting.reading import RunData
from charter.reporting.svg import COLOUR, draw, legible
from charter.reporting.told import ended_by_guard

_TITLES = {
    "sft": "SFT training",
    "preference_model": "Preference model training",
    "dpo": "DPO training",
    "rl": "RL training",
}
_PANELS = (
    ("Loss", (("loss", "loss", "blue"),)),
    ("Accuracy", (("accuracy", "accuracy", "vermilion"),)),
    ("Margin", (("margin", "margin", "green"),)),
    ("Reward", (("reward_chosen", "chosen", "blue"), ("reward_rejected", "rejected", "grey"))),
    ("Mean reward", (("reward", "of the answers drawn", "blue"),)),
    ("KL", (("kl", "per token, nats", "grey"),)),
    ("Log-probability", (("logprob_chosen", "chosen", "blue"), ("logprob_rejected", "rejected", "grey"))),
)
# Of the answers that a guard looked at.
_LOOKED_AT = (
    (
        "Answers",
        (
            ("repetition", "loop", "vermilion"),
            ("endings", "end alike", "blue"),
            ("refusals", "refuse", "grey"),
            ("distinct", "variety", "green"),
        ),
    ),
    ("Length", (("length", "tokens", "purple"),)),
    ("Reward gained", (("reward_gain", "at the same prompts", "blue"),)),
    ("Second judge", (("second_judge", "P(better than before)", "vermilion"),)),
)
_SHARES = frozenset({"Accuracy", "Answers", "Second judge"})
_MARK_UP_TO = 40  # log lines that are still told apart as dots


@dataclass(frozen=True)
class _Curve:
    label: str
    colour: str
    steps: list[float]
    values: list[float]


def training_curves(data: RunData, stage: str) -> Chart:
    """Draw what a training stage logged, one panel a quantity."""
    kind, iteration = parted(stage)
    name, title = f"training-{stage.replace('_', '-')}", wording.of_iteration(_TITLES[kind], iteration)
    result = data.stages.get(stage)
    if result is None or result.training is None or not result.training.steps:
        return Chart(name, title, f"Not drawn: {_why_not(data, stage)}")
    training = result.training
    panels = [(label, curves) for label, drawn in _PANELS if (curves := _curves(training.steps, drawn))]
    if not panels:
        return Chart(name, title, "Not drawn: the training log holds no loss.")
    panels += [(label, curves) for label, drawn in _LOOKED_AT if (curves := _curves(training.looks, drawn))]
    ended = ended_by_guard(training)

    def paint(figure: Any) -> None:
        places = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (label, curves) in zip(places, panels, strict=True):
            _paint_panel(axes, label, curves)
            _paint_end(axes, ended)
        places[-1].set_xlabel("Optimiser step")
        places[-1].xaxis.get_major_locator().set_params(integer=True)
        figure.align_ylabels()

    ends = "; ".join(f"{_full_label(label, c)} {_ends(c)}" for label, curves in panels for c in curves)
    caption = (
        f"{wording.count(training.n_rows)} rows, {wording.count(training.n_loss_tokens)} of "
        f"{wording.count(training.n_tokens)} tokens bear loss, {wording.duration(training.seconds)}. From first to "
        f"last logged step: {ends}. One training: no interval.{_unscored(result.counts)}{_looked_at(training.looks)}"
        f"{_told_end(ended)}"
    )
    return Chart(name, title, caption, draw(name, f"{title}: {ends}", 2.0 + 0.85 * len(panels), paint))


def _paint_panel(axes: Any, label: str, curves: list[_Curve]) -> None:
    axes.grid(visible=True, axis="y")
    for curve in curves:
        marker = "o" if len(curve.steps) <= _MARK_UP_TO else ""
        colour = COLOUR[curve.colour]
        axes.plot(curve.steps, curve.values, color=colour, lw=1.6, marker=marker, markersize=3, label=curve.label)
    axes.set_ylabel(label)
    axes.locator_params(axis="y", nbins=5)
    if label in _SHARES:
        axes.set_ylim(0, 1.02)
        percent_axis(axes.yaxis)
    if len(curves) > 1:
        axes.legend(fontsize=9, ncols=len(curves), loc="lower left", bbox_to_anchor=(-0.02, 0.96), borderaxespad=0)


def _paint_end(axes: Any, ended: tuple[float, float] | None) -> None:
    for step, colour, dashes in zip(ended or (), ("muted", "vermilion"), ((4, 3), (1, 2)), strict=False):
        axes.axvline(step, color=COLOUR[colour], linewidth=1.2, linestyle=(0, dashes))


def _told_end(ended: tuple[float, float] | None) -> str:
    if ended is None:
        return ""
    kept, seen = (wording.count(int(step)) for step in ended)
    return (
        f" The guard ended it: limits were passed at step {seen} (dotted), and the model is that of step {kept} "
        "(dashed)."
    )


def _curves(logged: Sequence[Mapping[str, Any]], drawn: tuple[tuple[str, str, str], ...]) -> list[_Curve]:
    found = []
    for key, label, colour in drawn:
        lines = [line for line in logged if _is_number(line.get("step")) and _is_number(line.get(key))]
        if lines:
            found.append(_Curve(label, colour, [line["step"] for line in lines], [line[key] for line in lines]))
    return found


def _unscored(counts: Mapping[str, Any]) -> str:
    """Say of how many answers a part of the reward could say nothing: they were neither better nor worse for it."""
    told = counts.get("unscored")
    found = {name: n for name, n in told.items() if _is_number(n)} if isinstance(told, Mapping) else {}
    if not found:
        return ""
    parts = wording.listing([f"{wording.counted(n, 'answer')} by {legible(name)}" for name, n in found.items()])
    return f" Not scored, and taken for as good as their groups: {parts}."


def _looked_at(looks: Sequence[Mapping[str, Any]]) -> str:
    if not looks:
        return ""
    seconds = sum(look["seconds"] for look in looks if _is_number(look.get("seconds")))
    return f" Answers: {wording.counted(len(looks), 'look')} at the same few prompts, in {wording.duration(seconds)}."


def _full_label(panel: str, curve: _Curve) -> str:
    """Name a curve as words beside no axis must: with its panel, where its own label does not say that."""
    name = panel if panel.isupper() else panel.lower()
    return curve.label if name in curve.label else f"{name} ({curve.label})"


def _ends(curve: _Curve) -> str:
    first, last = (wording.signless(value, 3) for value in (curve.values[0], curve.values[-1]))
    return f"{first} to {last}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _why_not(data: RunData, stage: str) -> str:
    if stage not in data.planned_stages:
        return f"the recipe has no {stage} stage."
    if stage not in data.stages:
        return f"the {stage} stage has not finished."
    training = data.stages[stage].training
    return f"{training.skipped}." if training and training.skipped else f"the {stage} stage logged no steps."
