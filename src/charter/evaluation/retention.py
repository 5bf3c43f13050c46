"""Retention: whether models still find good answers to helpful prompts likely, in loss and perplexity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from charter.errors import PromptError
from charter.evaluation.likelihood import ScoreRow, measure_loss, reference_rows
from charter.evaluation.measuring import adjusted
from charter.prompts.grouping import prompt_groups
from charter.prompts.sources import draw_prompts, load_prompts
from charter.records import BUILT_IN, Measurement, Scored
from charter.seeds import row_id

SCORES = "scores.jsonl"
_PER: Mapping[str, Literal["token", "byte"]] = {"reference_loss": "token", "reference_loss_per_byte": "byte"}
Bounds = tuple[float, float] | None


@dataclass(frozen=True)
class References:
    """Prompts with reference answers as rows to score, and how many rows of the source were left out, by reason."""

    rows: tuple[ScoreRow, ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Perplexity:
    """The exponential of a mean loss, with its interval; and how many times the base's it is, with that one's.

    Intervals are None where the rows cannot bound the loss, the ratio and its interval of the base too.
    """

    model: str
    per: Literal["token", "byte"]
    value: float
    interval: Bounds
    ratio: float | None
    ratio_interval: Bounds
    n: int


def load_references(
    source: str = BUILT_IN,
    *,
    prompt_column: str = "prompt",
    response_column: str = "response",
    n: int | None = None,
    seed: int = 0,
) -> References:
    """Read helpful prompts with reference answers.

    Args:
        source: ``built-in``, of which those that are held out have one, or a file with a prompt and a response a row.
        prompt_column: where a file has the prompt.
        response_column: where it has the reference answer.
        n: of them, drawn by the seed, more of which contain those of fewer; None takes all.
        seed: of the draw.

    Raises:
        PromptError: where the source cannot be read, or no prompt has a reference answer.
    """
    if source == BUILT_IN:
        loaded = load_prompts(source, "helpful")
    else:
        loaded = load_prompts(source, "helpful", column=prompt_column, reference_column=response_column)
    answered = [prompt for prompt in loaded.prompts if prompt.reference]
    if not answered:
        raise PromptError(f"{source}: no row has an answer in {response_column!r}; name another --response-column")
    drawn = draw_prompts(answered, len(answered) if n is None else n, seed)
    rows = (replace(row, id=row_id("reference", row.id, row.text)) for row in reference_rows(drawn))
    without = 0 if source == BUILT_IN else len(loaded.prompts) - len(answered)
    return References(tuple(rows), {**loaded.rejected, **({"no reference answer": without} if without else {})})


def measure_retention(
    rows: Sequence[ScoreRow], scores: Mapping[str, Sequence[Scored]], *, base: str
) -> list[Measurement]:
    """Measure each model's loss on reference answers per token and per byte; p-values are adjusted for all tests.

    Args:
        rows: that were scored.
        scores: of them, per model.
        base: the model that others are compared with, answer by answer.
    """
    groups = prompt_groups(row.prompt for row in rows)
    loss = partial(
        measure_loss,
        scores=scores,
        base=base,
        rows=SCORES,
        lower_is_better=True,
        groups={row.id: groups[row.prompt.id] for row in rows},
    )
    n_bytes = {row.id: len(row.text.encode()) for row in rows}
    return adjusted([*loss("reference_loss"), *loss("reference_loss_per_byte", n_bytes=n_bytes)])


def perplexities(measurements: Sequence[Measurement]) -> list[Perplexity]:
    """Give the perplexity of each mean loss: its exponential, and that of its interval's ends and of its change."""
    return [
        Perplexity(
            one.model,
            _PER[one.name],
            math.exp(one.value),
            _exponential(one.low, one.high),
            None if one.difference is None else math.exp(one.difference),
            _exponential(one.difference_low, one.difference_high),
            one.n,
        )
        for one in measurements
    ]


def _exponential(low: float | None, high: float | None) -> Bounds:
    return None if low is None or high is None else (math.exp(low), math.exp(high))
