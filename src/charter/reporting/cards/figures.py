"""A model's measured figures: what got worse, better or is unclear as tables, and as the hub's ``model-index``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from charter.records import Figures, Measurement
from charter.reporting import wording
from charter.reporting.cards.facts import Facts
from charter.reporting.cards.markdown import Markdown, bullets, heading, line, paragraphs, plain, quoted, table
from charter.reporting.cautions import cautions, scripted_roles
from charter.reporting.reward_section import Bound, bound_unit, named_bounds, read_figures
from charter.reporting.verdict import Change, Findings, weigh

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

#: What every figure of a run comes from, with the recipe that the run folder holds.
EVALUATE = Markdown("`charter evaluate RUN/recipe.resolved.yaml --out RUN`")
_REWARDS = Markdown("`charter preference-model RUN/recipe.resolved.yaml --out RUN`")
_NONE_WORSE = "Nothing measured got worse beyond chance."
_TASK = "text-generation"
_REWARD_TASK = "text-classification"
_NO_SLUG = re.compile(r"[^a-z0-9_.-]+")
_DECIMALS = 6


def weigh_model(facts: Facts, stage: str) -> Findings:
    """Sort the measured changes of one model against the base."""
    found = facts.data.evaluation or Figures(models=(), measurements=())
    scripted = "policy" in scripted_roles(facts.data.recipe)
    if stage not in found.models:
        return Findings(scripted=scripted)
    until = found.models[: found.models.index(stage) + 1]
    kept = [one for one in found.measurements if one.model in {stage, until[0]}]
    return weigh((until[0], stage), tuple(kept), scripted=scripted)


def tell_figures(facts: Facts, stage: str) -> Markdown:
    """Tell a policy's figures, what got worse first."""
    found = weigh_model(facts, stage)
    own = () if facts.data.evaluation is None else facts.data.evaluation.measurements
    compared = {id(one.measurement) for one in (*found.worse, *found.better, *found.unclear, *found.neutral)}
    alone = [one for one in own if one.model == stage and id(one) not in compared]
    parts = [
        quoted(found.headline) if found.headline != _NONE_WORSE else "",
        _outcome("What got worse", found.worse, _NONE_WORSE),
    ]
    parts.append(_outcome("What got better", found.better, "Nothing measured got better beyond chance."))
    parts.append(_outcome("What is unclear", found.unclear, "No measured change may be chance."))
    if found.neutral or alone:
        parts.append(heading("Measured besides"))
        parts += [_changes(found.neutral)] if found.neutral else []
        parts += [_values(alone)] if alone else []
    return paragraphs(*parts, _read_with(facts), _how(facts))


def _outcome(title: str, changes: Iterable[Change], none: str) -> Markdown:
    told = tuple(changes)
    return paragraphs(heading(title), _changes(told) if told else none)


def _changes(changes: Iterable[Change]) -> Markdown:
    header = ["figure", "base", "this model", "change", "95 % interval of the change", "n", "p", "test"]
    return table(header, [_change(one) for one in changes], right=(1, 2, 3))


def _change(change: Change) -> list[str]:
    m = change.measurement
    unit = wording.unit_of_change(m.unit)
    return [
        wording.subject(m),
        wording.value(change.base_value, m.unit),
        wording.value(m.value, m.unit),
        f"{wording.change(change.difference, m.unit)} {unit}".rstrip(),
        wording.change_interval(change.low, change.high, m.unit),
        wording.size(m.n, m.n_groups),
        "no test" if m.p_value is None else wording.p_value(m.p_value),
        m.method or "none",
    ]


def _values(measurements: Iterable[Measurement]) -> Markdown:
    rows = [
        [wording.subject(m), wording.value(m.value, m.unit), wording.span(m.low, m.high, m.unit, m.n, m.n_groups)]
        for m in measurements
    ]
    return table(["figure", "value", "95 % interval"], rows, right=(1,))


def _read_with(facts: Facts) -> Markdown | str:
    told = cautions(facts.data)
    return paragraphs(heading("Read these figures with this"), bullets(told)) if told else ""


def _how(facts: Facts) -> Markdown | str:
    if facts.data.evaluation is None:
        return f"There are no figures. {facts.data.why_missing('evaluation.json')}"
    return line(
        "Every figure above is over prompts that were held out from training, with a 95 % interval that takes rows of "
        "one prompt together, and paired with the base model on the same prompts. ",
        EVALUATE,
        " makes them all, with the recipe and the seeds of the run; the values behind them are the run's ",
        Markdown("`data/measured.parquet`"),
        ".",
    )


def tell_rewards(facts: Facts, stage: str) -> Markdown:
    """Tell what a preference model is worth on pairs that it was not trained on, its weakest figures first."""
    held_out, trained_on = (read_figures(facts.data, side, stage) for side in ("held_out", "trained_on"))
    if held_out is None:
        return paragraphs(
            heading("What it is worth"), "Nothing was measured on held-out pairs: what it is worth is unknown."
        )
    bounds, others = named_bounds(held_out), named_bounds(trained_on) if trained_on else {}
    ordered = sorted(bounds, key=lambda name: (bound_unit(name) != "rate", _low(bounds[name])))
    rows = [[name, *_bound(name, bounds[name]), _bound(name, others.get(name))[0]] for name in ordered]
    header = ["figure", "held out", "95 % interval", "on pairs trained on"]
    return paragraphs(
        heading("What it is worth, the weakest first"),
        table(header, rows, right=(1, 3)),
        line(
            f"The expected calibration error on the {wording.count(held_out.n)} held-out pairs is {held_out.ece:.3f}. "
            "Accuracy is the share of pairs whose likelier side, by the judge's label, it prefers: a coin is right in "
            "50 %. The labels are the judge's, not people's. ",
            _REWARDS,
            " makes these figures.",
        ),
        _read_with(facts),
    )


def _low(bound: Bound | None) -> float:
    return float("inf") if bound is None else bound.value if bound.low is None else bound.low


def _bound(name: str, bound: Bound | None) -> list[str]:
    if bound is None:
        return ["no such pairs", ""]
    unit = bound_unit(name)
    return [wording.value(bound.value, unit), wording.span(bound.low, bound.high, unit, bound.n, bound.n_groups)]


def index_figures(facts: Facts, stage: str) -> list[EvalResult]:
    """Give a policy's figures as the hub's ``model-index`` holds them, with n, interval and the paired difference."""
    from huggingface_hub import EvalResult

    own = () if facts.data.evaluation is None else facts.data.evaluation.measurements
    return [
        EvalResult(
            task_type=_TASK,
            task_name="Text generation",
            dataset_type=f"held-out-{slug(m.subset) or 'rows'}",
            dataset_name=plain(f"{facts.name}: held-out {wording.subset(m.subset)}"),
            metric_type=slug(m.name),
            metric_name=plain(wording.title(m.name)),
            metric_value=round(m.value, _DECIMALS),
            metric_args=_arguments(m),
        )
        for m in own
        if m.model == stage
    ]


def index_rewards(facts: Facts, stage: str) -> list[EvalResult]:
    """Give a preference model's figures on held-out pairs as the hub's ``model-index`` holds them."""
    from huggingface_hub import EvalResult

    found = read_figures(facts.data, "held_out", stage)
    bounds = {} if found is None else named_bounds(found)
    return [
        EvalResult(
            task_type=_REWARD_TASK,
            task_name="Preference",
            dataset_type="held-out-pairs",
            dataset_name=plain(f"{facts.name}: held-out pairs"),
            metric_type=slug(name),
            metric_name=plain(name),
            metric_value=round(bound.value, _DECIMALS),
            metric_args=_present(
                n=bound.n, n_groups=bound.n_groups, low=bound.low, high=bound.high, unit=bound_unit(name)
            ),
        )
        for name, bound in bounds.items()
        if bound is not None
    ]


def slug(text: str) -> str:
    """Make an identifier of a name: small letters, digits, dots, dashes and underscores."""
    return _NO_SLUG.sub("-", plain(text).lower()).strip("-.")


def _arguments(m: Measurement) -> dict[str, Any]:
    return _present(
        n=m.n,
        n_groups=m.n_groups,
        low=m.low,
        high=m.high,
        unit=m.unit,
        better=m.better,
        base=m.base,
        difference=m.difference,
        difference_low=m.difference_low,
        difference_high=m.difference_high,
        p_value=m.p_value,
        test=m.method or None,
    )


def _present(**values: Any) -> dict[str, Any]:
    """Leave out what is None; numbers are rounded, and texts made plain."""
    return {name: _written(value) for name, value in values.items() if value is not None}


def _written(value: Any) -> Any:
    return round(value, _DECIMALS) if isinstance(value, float) else plain(value) if isinstance(value, str) else value
