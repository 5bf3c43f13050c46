"""What each iteration made of feedback: its pairs, its labels and its trainings, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charter.recipe.stages import in_iteration
from charter.reporting import wording
from charter.reporting.layout import Column, section, table
from charter.reporting.markup import Markup, element, join
from charter.reporting.reading import RunData
from charter.reporting.told import StageResult
from charter.statistics import wilson_interval

_LEAD = (
    "Each iteration makes pairs of answers of the policy that the one before ended with, and trains that policy on; "
    "pairs of revisions, and pairs that were given, are the first one's alone. "
    "What its models are worth stands with the other figures, by their names. Intervals of shares are Wilson's, 95 %, "
    "and take each verdict or label for itself."
)
_TRAININGS = {"preference_model": "Preference model", "dpo": "DPO", "rl": "RL"}
_GAP = "not done"


def iterations(data: RunData) -> Markup | None:
    """Write a row for each iteration; nothing where there is one alone."""
    if data.n_iterations == 1:
        return None
    trainings = [stage for stage in _TRAININGS if stage in data.planned_stages]
    columns = [
        Column("Iteration"),
        *(Column(name, numeric=True) for name in ("Pairs", "Labels", "Invalid verdicts", "Agree with their source")),
        *(Column(f"{_TRAININGS[stage]}, loss", numeric=True) for stage in trainings),
    ]
    rows = [
        [
            join(str(number)),
            *_of_labels(data, number),
            *(_loss(data.stages.get(in_iteration(stage, number))) for stage in trainings),
        ]
        for number in range(1, data.n_iterations + 1)
    ]
    return section("iterations", "Iterations", element("p", _LEAD, class_="lead"), table(columns, rows))


def _of_labels(data: RunData, number: int) -> list[Markup]:
    pairs, labels = (data.stages.get(in_iteration(name, number)) for name in ("pairs", "label"))
    made = join(_GAP if pairs is None else wording.count(pairs.n_done))
    if labels is None:
        return [made, *([join(_GAP)] * 3)]
    n_agree, n_disagree = (_count(labels.counts, f"{what} with the source") for what in ("agrees", "disagrees"))
    n_invalid, n_asked = _count(labels.counts, "invalid verdicts"), _count(labels.counts, "verdicts")
    return [
        made,
        join(wording.count(labels.n_done)),
        join(_share(n_invalid, n_asked)),
        join(_share(n_agree, n_agree + n_disagree)),
    ]


def _count(counts: Mapping[str, Any], name: str) -> int:
    found = counts.get(name, 0)
    return found if isinstance(found, int) else 0


def _share(n: int, of: int) -> str:
    if not of:
        return "none"
    found = wilson_interval(n, of)
    span = wording.interval(found.low, found.high, "rate")
    return f"{wording.value(found.value, 'rate')} ({span}) of {wording.count(of)}"


def _loss(result: StageResult | None) -> Markup:
    """Say with what loss a training began and ended."""
    if result is None:
        return join(_GAP)
    training = result.training
    losses = [step["loss"] for step in training.steps if isinstance(step.get("loss"), float)] if training else []
    if not losses:
        return join("not trained")
    return join(f"{wording.signless(losses[0], 3)} to {wording.signless(losses[-1], 3)}")
