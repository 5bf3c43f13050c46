"""Rows that a user brought, matched to the prompts of a run: each is of one of them, and none of a held-out one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from charter.prompts.grouping import normalise_text
from charter.records import Pair, Preference, Prompt, Trace
from charter.seeds import digest

RowT = TypeVar("RowT", Trace, Pair)

DrawnT = TypeVar("DrawnT", Trace, Pair, Preference)

HELD_OUT = "its prompt is held out"
NO_PROMPT = "its prompt is none of the run's"
OVER_THE_LIMIT = "over the limit"


@dataclass(frozen=True)
class Matched(Generic[RowT]):
    """The rows that a run takes, each with the run's own prompt, and how many others there were, by reason."""

    rows: tuple[RowT, ...]
    left_out: Mapping[str, int]


def match_prompts(rows: Sequence[RowT], prompts: Iterable[Prompt]) -> Matched[RowT]:
    """Give each row the run's prompt that asks the same, in whatever case, spacing or punctuation.

    A row whose prompt is held out is left out, and so is one whose prompt the run does not have: what is trained on are
    the run's prompts alone, so that nothing held out comes in by another door. Traces of one prompt are numbered anew:
    they may come from several runs, or from prompts that differ in writing.

    Args:
        rows: as they were read.
        prompts: of the run, of every kind and both splits.
    """
    own: dict[str, Prompt] = {}
    for prompt in prompts:
        text = normalise_text(prompt.text)
        if text not in own or prompt.split == "evaluation":
            own[text] = prompt
    kept: list[RowT] = []
    left_out: Counter[str] = Counter()
    n_of: Counter[str] = Counter()
    for row in rows:
        found = own.get(normalise_text(row.prompt.text))
        if found is None:
            left_out[NO_PROMPT] += 1
        elif found.split == "evaluation":
            left_out[HELD_OUT] += 1
        else:
            update: dict[str, object] = {"prompt": found}
            if isinstance(row, Trace):
                update["sample"] = n_of[found.id]
            kept.append(row.model_copy(update=update))
            n_of[found.id] += 1
    return Matched(tuple(kept), dict(left_out))


def draw_rows(rows: Sequence[DrawnT], limit: int | None, seed: int | None) -> tuple[tuple[DrawnT, ...], Counter[str]]:
    """Keep so many rows, in their order, and count the others: the first, or those that a seed draws.

    They are drawn by their ids, so that neither their order nor their number counts.
    """
    rows = tuple(rows)
    if limit is None or len(rows) <= limit:
        return rows, Counter()
    drawn = rows[:limit]
    if seed is not None:
        ids = sorted((row.id for row in rows), key=lambda name: digest([seed, "limit", name]))[:limit]
        chosen = frozenset(ids)
        drawn = tuple(row for row in rows if row.id in chosen)
    return drawn, Counter({OVER_THE_LIMIT: len(rows) - len(drawn)})
