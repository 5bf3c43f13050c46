"""Behaviours that a model must not show: the columns of HarmBench, JailbreakBench and AdvBench.

HarmBench (arXiv 2402.04249) has ``Behavior`` and ``BehaviorID``, some with a ``ContextString`` that the request is
about; the prompt is then the context, a rule and the behaviour, as HarmBench itself asks directly. JailbreakBench
(arXiv 2404.01318) has ``Goal`` and ``Target``, AdvBench (arXiv 2307.15043) ``goal`` and ``target``: the goal is the
prompt. The target is how an attacked answer begins, and nothing is taken from it.
"""

from __future__ import annotations

from collections.abc import Sequence

from charter.errors import PromptError
from charter.prompts.layouts.base import MENDED, Columns, Layout, all_have, with_values
from charter.prompts.source_rows import SourceRow

WITH_CONTEXT = "context put before the behaviour"
_PROMPT, _ID, _CATEGORY = "(prompt)", "(id)", "(category)"
_REQUESTS = (("Behavior", "BehaviorID"), ("Goal", "Target"), ("goal", "target"))
_IDS = ("BehaviorID", "Index")
_CATEGORIES = ("SemanticCategory", "Category", "category")
_RULE = "\n\n---\n\n"


def _fits(rows: Sequence[SourceRow]) -> bool:
    return any(all_have(rows, *names) for names in _REQUESTS)


def _unfold(rows: Sequence[SourceRow]) -> list[SourceRow]:
    request = next((request for request, mark in _REQUESTS if all_have(rows, request, mark)), _REQUESTS[0][0])
    return [_part(row, request) for row in rows]


def _part(row: SourceRow, request: str) -> SourceRow:
    asked, context = row.values[request], row.values.get("ContextString")
    for name, value in ((request, asked), ("ContextString", context)):
        if value is not None and not isinstance(value, str):
            raise PromptError(f"{row.place}: {name!r} is {type(value).__name__}; expected a text")
    added = {_PROMPT: asked, _ID: _first(row, _IDS), _CATEGORY: _first(row, _CATEGORIES)}
    if request == "Behavior" and asked and context and context.strip():
        added |= {_PROMPT: f"{context}{_RULE}{asked}", MENDED: WITH_CONTEXT}
    return with_values(row, added)


def _first(row: SourceRow, names: Sequence[str]) -> object:
    return next((row.values[name] for name in names if name in row.values), None)


BEHAVIOURS = Layout(
    "behaviours",
    "'Behavior' and 'BehaviorID', or 'goal' and 'target'",
    _fits,
    Columns(prompt=_PROMPT, id=_ID, category=_CATEGORY),
    unfold=_unfold,
)
