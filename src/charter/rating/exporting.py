"""Ratings as labels: pairs of which most raters prefer one side, as an audit of a judge reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from charter.rating.agreement import people_say
from charter.rating.items import Item
from charter.rating.records import Rating, standing
from charter.statistics import TIE


def label_rows(items: Iterable[Item], by_rater: Mapping[str, Sequence[Rating]]) -> tuple[list[dict[str, Any]], int]:
    """Give a row for each item that raters have a preference on.

    ``p_chosen`` is the share of raters who prefer the chosen answer, a tie counting a half.

    Args:
        items: of the source, without gold.
        by_rater: everybody's records in their order.

    Returns:
        The rows, in the order of the items, and how many rated items are ties, which say nothing of which is better.
    """
    said = people_say(one for own in by_rater.values() for one in standing(own).values())
    told = [(item, said[item.id]) for item in items if item.id in said]
    rows = [_row(item, p_model) for item, p_model in told if p_model != TIE]
    return rows, len(told) - len(rows)


def _row(item: Item, p_model: float) -> dict[str, Any]:
    one = item.match
    sides = [(one.answer, one.model), (one.base_answer, one.base)]
    (chosen, by), (rejected, other) = sides if p_model > TIE else reversed(sides)
    return {
        "prompt": [turn.model_dump() for turn in one.prompt.turns],
        "chosen": chosen,
        "rejected": rejected,
        "chosen_model": by,
        "rejected_model": other,
        "p_chosen": max(p_model, 1.0 - p_model),
        "category": one.prompt.category,
        "kind": one.prompt.kind,
    }
