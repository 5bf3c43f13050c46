"""The rows that a reader can open: all of a prompt's rows together, cut into chunks that the page opens one by one.

Above a limit of rows or of bytes a sample of prompts is taken: in the order of a seeded hash of their ids, each with
all its rows, so that a prompt's life is shown whole or not at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from charter.feedback.settling import judged_of, pair_of
from charter.records import Pair, Prompt
from charter.reporting.lives import Life, Outcome, ResponseClassOf, Texts, life_value
from charter.reporting.markup import json_text
from charter.reporting.rated_answers import standing_ratings
from charter.reporting.reading import RunData
from charter.reporting.row_index import row_index
from charter.seeds import digest

MAX_ROWS = 50_000
MAX_BYTES = 100_000_000
CHUNK_BYTES = 400_000  # a browser opens as much in a few milliseconds


@dataclass(frozen=True)
class Rows:
    """What the row browser is given, as JSON values; ``n_prompts`` of ``n_all_prompts`` are in it.

    A chunk has lives and their texts. The index lists, filters and orders all rows without opening a chunk.
    """

    index: dict[str, Any]
    chunks: tuple[dict[str, Any], ...]
    n_prompts: int
    n_all_prompts: int
    n_rows: int
    n_all_rows: int
    seed: int

    @property
    def is_sample(self) -> bool:
        """Whether something was left out."""
        return self.n_prompts < self.n_all_prompts


def gather(
    data: RunData,
    *,
    classify: ResponseClassOf,
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
    chunk_bytes: int = CHUNK_BYTES,
) -> Rows:
    """Gather the rows of a run for the row browser.

    Args:
        data: the run.
        classify: gives the response class of a response to a prompt.
        max_rows: how many traces, pairs and responses are embedded.
        max_bytes: how large their JSON may become, before it is compressed.
        chunk_bytes: how large a chunk's JSON becomes before the next is begun.
    """
    lives = _lives(data)
    seed = data.recipe.get("seed")
    seed = seed if isinstance(seed, int) else 0
    order = sorted(lives, key=lambda key: digest(["report", seed, key]))
    kept = _sample((lives[key] for key in order), classify, max_rows, max_bytes)
    shown = [life for key, life in lives.items() if key in kept]
    chunks = tuple(_chunks(shown, classify, chunk_bytes))
    return Rows(
        index=row_index(chunks, list(data.evaluation.models) if data.evaluation else []),
        chunks=chunks,
        n_prompts=len(shown),
        n_all_prompts=len(lives),
        n_rows=sum(life.n_rows for life in shown),
        n_all_rows=sum(life.n_rows for life in lives.values()),
        seed=seed,
    )


def _sample(lives: Iterable[Life], classify: ResponseClassOf, max_rows: int, max_bytes: int) -> set[str]:
    """Take prompts as they come, one at least, while their rows fit."""
    texts = Texts()
    kept: set[str] = set()
    n_rows = n_bytes = 0
    for life in lives:
        n_rows += life.n_rows
        n_bytes += len(json_text(life_value(life, texts, classify)))
        if kept and (n_rows > max_rows or n_bytes + texts.n_bytes > max_bytes):
            break
        kept.add(life.prompt.id)
    return kept


def _chunks(lives: Iterable[Life], classify: ResponseClassOf, chunk_bytes: int) -> Iterator[dict[str, Any]]:
    texts, values, n_bytes = Texts(), list[dict[str, Any]](), 0
    for life in lives:
        values.append(life_value(life, texts, classify))
        n_bytes += len(json_text(values[-1]))
        if n_bytes + texts.n_bytes >= chunk_bytes:
            yield {"texts": texts.texts, "lives": values}
            texts, values, n_bytes = Texts(), [], 0
    if values:
        yield {"texts": texts.texts, "lives": values}


def _lives(data: RunData) -> Mapping[str, Life]:
    """Group rows by prompt id, in the order of the prompts' file, then of first appearance."""
    lives: dict[str, Life] = {}

    def life(prompt: Prompt) -> Life:
        return lives.setdefault(prompt.id, Life(prompt))

    with_rows = {row.prompt.id for rows in (data.traces, data.pairs, data.judged, data.responses) for row in rows}
    for prompt in data.prompts:
        if prompt.id in with_rows:
            life(prompt)
    for trace in data.traces:
        life(trace.prompt).traces.append(trace)
    for row in data.sft:
        if row.prompt.id in with_rows:
            life(row.prompt).sft.append(row)
    for pair, outcome in _judged(data):
        life(pair.prompt).pairs.append((pair, outcome))
    for name in ("responses", "comparisons", "readings"):
        for one in getattr(data, name):
            getattr(life(one.prompt), name).append(one)
    _join_ratings(lives, data)
    _join_twins(lives)
    return lives


def _join_ratings(lives: Mapping[str, Life], data: RunData) -> None:
    for rating in standing_ratings(data):  # of responses, whose lives are there
        lives[rating.prompt].ratings.append(rating)


def _join_twins(lives: Mapping[str, Life]) -> None:
    for life in lives.values():
        imitated = lives.get(life.prompt.twin_of or "")
        if imitated is not None:
            imitated.twins.append(life.prompt.id)


def _judged(data: RunData) -> list[tuple[Pair, Outcome]]:
    """Join pairs with what they came to; one that the pairs' file lacks is made anew of what was judged."""
    found: dict[str, list[Outcome]] = defaultdict(list)
    for one in data.judged:
        found[judged_of(one).id].append(one)
    joined: list[tuple[Pair, Outcome]] = []
    for pair in data.pairs:
        joined += [(pair, one) for one in found.pop(pair.id, [None])]
    joined += [(pair_of(judged_of(one)), one) for rest in found.values() for one in rest if one is not None]
    return joined
