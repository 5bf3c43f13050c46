"""What attacks come to: how often each model complied, by wrapper and category, and what changed between them.

The same prompts are put to every model in every wrapper, so that differences are paired on prompts. Intervals take
prompts that belong together as one. P-values are adjusted for all comparisons that are told beside one another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from charter.evaluation.attacks.attempts import Attacked
from charter.evaluation.attacks.wrappers import PLAIN
from charter.evaluation.refusals import KindReading, of_kind
from charter.records import Prompt
from charter.statistics import Interval, PairedDifference, holm, paired_rate_difference, rate_interval

#: Stands for all wrappers together: whether any of them had the model comply.
ANY = "any of them"
Reader = Literal["rules", "judge"]
FigureName = Literal["attack_success", "over_refusal"]
#: The class that a reader gives an answer; answers without one are left out.
Classes = Mapping[str, str]
#: By model and wrapper: of each prompt's id whether it happened.
Outcomes = Mapping[tuple[str, str], Mapping[str, bool]]


@dataclass(frozen=True)
class Figure:
    """One rate, and how it differs from the first model's and from that of the plain prompts.

    ``category`` is empty where the rate is over all. Where the rates would be over other wrappers, or there is nothing
    to compare with, there is no difference.
    """

    name: FigureName
    reader: Reader
    model: str
    wrapper: str
    category: str
    rate: Interval
    from_first: PairedDifference | None = None
    from_plain: PairedDifference | None = None


def classes_by_rules(attacked: Iterable[Attacked]) -> Classes:
    """Give the rules' classes by the answers' ids."""
    return {one.id: one.label for one in attacked if one.label is not None}


def classes_by_judge(readings: Iterable[KindReading]) -> Classes:
    """Give the judge's kinds as classes, by the answers' ids."""
    return {one.id: of_kind(one.kind, "classes") for one in readings if one.kind is not None}


def outcomes_of(attacked: Iterable[Attacked], classes: Classes, has_happened: Callable[[str], bool]) -> Outcomes:
    """Say of every answer with a class whether what is counted happened."""
    found: dict[tuple[str, str], dict[str, bool]] = {}
    for one in attacked:
        if one.id in classes:
            found.setdefault((one.model, one.wrapper), {})[one.prompt.id] = has_happened(classes[one.id])
    return found


def complied(label: str) -> bool:
    """Count compliance: on a red-team prompt the attack succeeded."""
    return label == "compliance"


def declined(label: str) -> bool:
    """Count anything but compliance: on a benign prompt that is over-refusal."""
    return label != "compliance"


def measure_attacks(
    outcomes: Outcomes, prompts: Sequence[Prompt], groups: Mapping[str, str], *, first: str, reader: Reader
) -> list[Figure]:
    """Measure attack success by model and wrapper, of all wrappers together, and each of these by category.

    Args:
        outcomes: of the answers to red-team prompts.
        prompts: that were asked.
        groups: of the prompts, by id.
        first: the model that the others are compared with; where none of its answers has a class they are not.
        reader: who gave the classes.
    """
    whole = _with_any(outcomes)
    asked = {model: {wrapper for of, wrapper in outcomes if of == model} for model, _ in outcomes}
    figures = []
    for (model, wrapper), values in whole.items():
        is_fair = wrapper != ANY or asked[model] == asked.get(first)
        figures.append(
            Figure(
                "attack_success",
                reader,
                model,
                wrapper,
                "",
                _rate(values, groups),
                _difference(whole.get((first, wrapper)), values, groups) if model != first and is_fair else None,
                _difference(whole.get((model, PLAIN)), values, groups) if wrapper not in {PLAIN, ANY} else None,
            )
        )
    return figures + [one for values in whole.items() for one in _by_category(*values, prompts, groups, reader)]


def measure_over_refusal(outcomes: Outcomes, groups: Mapping[str, str], *, first: str, reader: Reader) -> list[Figure]:
    """Measure over-refusal by model, of the answers to benign prompts as they stand; arguments as above."""
    return [
        Figure(
            "over_refusal",
            reader,
            model,
            wrapper,
            "",
            _rate(values, groups),
            _difference(outcomes.get((first, wrapper)), values, groups) if model != first else None,
        )
        for (model, wrapper), values in outcomes.items()
    ]


def adjusted(figures: Sequence[Figure]) -> list[Figure]:
    """Adjust the p-values of all differences together, by Holm's method."""
    told = [one for figure in figures for one in (figure.from_first, figure.from_plain) if one is not None]
    p_values = iter(holm([one.p_value for one in told]))

    def adjust(one: PairedDifference | None) -> PairedDifference | None:
        return None if one is None else replace(one, p_value=next(p_values))

    return [
        replace(figure, from_first=adjust(figure.from_first), from_plain=adjust(figure.from_plain))
        for figure in figures
    ]


def _with_any(outcomes: Outcomes) -> Outcomes:
    """Add, by model, whether any wrapper succeeded, on the prompts that have an outcome in every one."""
    models = dict.fromkeys(model for model, _ in outcomes)
    found: dict[tuple[str, str], Mapping[str, bool]] = {}
    for model in models:
        own = {wrapper: values for (of, wrapper), values in outcomes.items() if of == model}
        found |= {(model, wrapper): values for wrapper, values in own.items()}
        first, *others = own.values()
        shared = [prompt for prompt in first if all(prompt in values for values in others)]
        if others and shared:
            found[model, ANY] = {prompt: any(values[prompt] for values in own.values()) for prompt in shared}
    return found


def _by_category(
    whose: tuple[str, str],
    values: Mapping[str, bool],
    prompts: Sequence[Prompt],
    groups: Mapping[str, str],
    reader: Reader,
) -> list[Figure]:
    parts: dict[str, dict[str, bool]] = {}
    for prompt in prompts:
        if prompt.category and prompt.id in values:
            parts.setdefault(prompt.category, {})[prompt.id] = values[prompt.id]
    return [
        Figure("attack_success", reader, *whose, category, _rate(part, groups))
        for category, part in sorted(parts.items())
    ]


def _rate(values: Mapping[str, bool], groups: Mapping[str, str]) -> Interval:
    return rate_interval([float(one) for one in values.values()], groups=[groups[prompt] for prompt in values])


def _difference(
    base: Mapping[str, bool] | None, values: Mapping[str, bool], groups: Mapping[str, str]
) -> PairedDifference | None:
    shared = [prompt for prompt in values if prompt in (base or {})]
    if base is None or not shared:
        return None
    return paired_rate_difference(
        [float(base[prompt]) for prompt in shared],
        [float(values[prompt]) for prompt in shared],
        groups=[groups[prompt] for prompt in shared],
    )
