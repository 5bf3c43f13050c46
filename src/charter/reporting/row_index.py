"""What the row browser knows of all rows before it opens any: ids, what filters go by, and orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

_Value = dict[str, Any]  # as ``lives.life_value`` writes it
_Facets = dict[str, list[str]]


@dataclass
class _Tab:
    """Rows of one kind, column by column; ``also`` are other ids that a row goes by."""

    ids: list[str] = field(default_factory=list)
    also: list[str | None] = field(default_factory=list)
    lives: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    facets: list[_Facets] = field(default_factory=list)
    orders: dict[str, list[float | None]] = field(default_factory=dict)

    def add(self, row: tuple[str, str | None], life: int, place: int, facets: _Facets) -> None:
        """Add a row by its id, and the other one that it goes by."""
        self.ids.append(row[0])
        self.also.append(row[1])
        self.lives.append(life)
        self.places.append(place)
        self.facets.append(facets)


def row_index(chunks: Sequence[_Value], models: Sequence[str]) -> _Value:
    """Index the rows of all chunks.

    Args:
        chunks: lives with their texts, in order; see ``browsing``.
        models: the measured models, the base first.

    Returns:
        ``lives`` has ids and, of each chunk, the number of its first life. A tab has for each of its rows the id, the
        number of its life and its place there; a facet has its values, and for each row the numbers of those that it
        has; an order has what rows are sorted by, the lowest first and None last.
    """
    lives = [life for chunk in chunks for life in chunk["lives"]]
    starts = [sum(len(chunk["lives"]) for chunk in chunks[:number]) for number in range(len(chunks))]
    read = any(life["readings"] for life in lives)
    tabs = {
        "traces": ("Traces", _tab(lives, "traces", _trace_facets, lambda one: (one["id"], None))),
        "preferences": ("Preferences", _preferences(lives)),
        "responses": ("Responses", _responses(lives, is_read=read)),
        "models": ("Models side by side", _sides(lives, models)),
    }
    return {
        "models": list(models),
        "lives": {
            "ids": [life["id"] for life in lives],
            "also": [[one["id"] for one in (*life["comparisons"], *life["readings"])] for life in lives],
            "starts": starts,
        },
        "tabs": [_written(name, title, tab) for name, (title, tab) in tabs.items()],
    }


def _written(name: str, title: str, tab: _Tab) -> _Value:
    return {
        "name": name,
        "title": title,
        "ids": tab.ids,
        "also": tab.also if any(tab.also) else [],
        "lives": tab.lives,
        "places": tab.places,
        "facets": [_facet(facet, tab.facets) for facet in (tab.facets[0] if tab.facets else ())],
        "orders": tab.orders,
    }


def _facet(name: str, rows: Sequence[_Facets]) -> _Value:
    numbers: dict[str, int] = {}
    found = [[numbers.setdefault(value, len(numbers)) for value in row[name]] for row in rows]
    return {"name": name, "values": list(numbers), "rows": found}


def _tab(
    lives: Iterable[_Value],
    kind: str,
    facets: Callable[[_Value], _Facets],
    names: Callable[[_Value], tuple[str, str | None]],
) -> _Tab:
    tab = _Tab()
    for number, life in enumerate(lives):
        for place, one in enumerate(life[kind]):
            tab.add(names(one), number, place, {**_of_prompt(life), **facets(one)})
    return tab


def _of_prompt(life: _Value) -> _Facets:
    return {"Kind": [life["kind"]], "Category": [life["category"] or "no category"]}


def _trace_facets(trace: _Value) -> _Facets:
    rounds = trace["rounds"]
    return {
        "Flag": trace["flags"] or ["no flag"],
        "First class": [trace["initial_class"]],
        "Final class": [rounds[-1]["revision_class"] if rounds else trace["initial_class"]],
        "Principle": list(dict.fromkeys(step["principle"] for step in rounds)),
    }


def _preferences(lives: Sequence[_Value]) -> _Tab:
    tab = _tab(lives, "pairs", _pair_facets, _pair_names)
    labels = [pair["label"] for life in lives for pair in life["pairs"]]
    tab.orders = {
        "least sure first": [None if one is None else one["p_chosen"] for one in labels],
        "most position bias first": [
            None if one is None or one["position_bias"] is None else -one["position_bias"] for one in labels
        ],
    }
    return tab


def _pair_names(pair: _Value) -> tuple[str, str | None]:
    return (pair["id"], None) if pair["label"] is None else (pair["label"]["id"], pair["id"])


def _pair_facets(pair: _Value) -> _Facets:
    verdicts = pair["label"]["verdicts"] if pair["label"] else []
    invalid = ["has an invalid verdict"] if any(verdict["invalid"] is not None for verdict in verdicts) else []
    return {
        "Source": [pair["source"]],
        "Label": [pair["agreement"], *invalid],
        "Principle": list(dict.fromkeys(verdict["principle"] for verdict in verdicts)),
    }


def _responses(lives: Iterable[_Value], *, is_read: bool) -> _Tab:
    def facets(response: _Value) -> _Facets:
        own = {
            "Model": [response["model"]],
            "Label": [response["label"]],
            "Flag": response["flags"] or ["no flag"],
            "Finish": [response["finish"]],
        }
        return {**own, "Judge's reading": [response["judged"] or "not read by the judge"]} if is_read else own

    return _tab(lives, "responses", facets, lambda one: (one["id"], None))


def _sides(lives: Iterable[_Value], models: Sequence[str]) -> _Tab:
    """List prompts that two models or more answered, by the class of each model's answer."""
    tab = _Tab()
    for number, life in enumerate(lives):
        if len({response["model"] for response in life["responses"]}) > 1:
            tab.add((life["id"], None), number, 0, {**_of_prompt(life), **dict(_classes(life, models))})
    return tab


def _classes(life: _Value, models: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    for model in models:
        found = [response["label"] for response in life["responses"] if response["model"] == model]
        yield f"Class of {model}", list(dict.fromkeys(found)) or ["not measured"]
