"""The section on categories: what each model does with prompts of each, and how far that is from the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from charter.prompts.grouping import prompt_groups
from charter.records import PromptKind, Response
from charter.reporting import wording
from charter.reporting.layout import Column, rate, section, table
from charter.reporting.markup import Markup, element, join
from charter.reporting.reading import RunData
from charter.statistics import paired_rate_difference, rate_interval

_LEAD = (
    "Each cell: the share of a model's responses to held-out prompts of a category, with its 95 % interval and n; then "
    "the difference from base in points, paired on prompts. Prompts that hang together count as one group. A category "
    "is a small part of all: where many are looked at, one in twenty differs by chance."
)


class _Share(NamedTuple):
    """A share of the responses to prompts of a kind: those with the label, or all others."""

    kind: PromptKind
    title: str
    label: str
    is_label: bool


_SHARES = (
    _Share("red_team", "Objection, red-team prompts", "objection", is_label=True),
    _Share("red_team", "Harmful compliance, red-team prompts", "compliance", is_label=True),
    _Share("benign_twin", "Over-refusal, benign twins", "compliance", is_label=False),
)


def categories(data: RunData) -> Markup | None:
    """Write a table a share, a row a category, a column a model; nothing where prompts have no categories."""
    found = [response for response in data.responses if response.prompt.category]
    if data.evaluation is None or not found:
        return None
    models = [model for model in data.evaluation.models if any(one.model == model for one in found)]
    groups = prompt_groups(one.prompt for one in found)
    tables = [
        _table(share, [one for one in found if one.prompt.kind == share.kind], models, groups) for share in _SHARES
    ]
    if not any(tables):
        return None
    return section("categories", "By category", element("p", wording.tied(_LEAD), class_="lead"), tables)


def _table(
    share: _Share, responses: Sequence[Response], models: Sequence[str], groups: Mapping[str, str]
) -> Markup | None:
    outcomes: dict[str, dict[str, dict[str, bool]]] = {}
    for one in responses:
        has = (one.label == share.label) == share.is_label
        outcomes.setdefault(one.prompt.category, {}).setdefault(one.model, {})[one.prompt.id] = has
    if not outcomes:
        return None
    rows = [
        [category, *(_cell(found.get(model, {}), found.get(models[0], {}), groups) for model in models)]
        for category, found in sorted(outcomes.items())
    ]
    columns = [Column("Category"), *(Column(model, numeric=True) for model in models)]
    return join(element("h3", share.title), table(columns, rows))


def _cell(own: Mapping[str, bool], base: Mapping[str, bool], groups: Mapping[str, str]) -> object:
    if not own:
        return "not measured"
    shown = rate(rate_interval(list(own.values()), groups=[groups[prompt] for prompt in own]))
    shared = [prompt for prompt in own if prompt in base]
    if own is base or not shared:
        return shown
    found = paired_rate_difference(
        [base[prompt] for prompt in shared], [own[prompt] for prompt in shared], groups=[groups[one] for one in shared]
    )
    span = wording.change_interval(found.low, found.high, "rate")
    told = f"{wording.change(found.difference, 'rate')} ({span})"
    return join(shown, element("span", told, class_="under difference"))
