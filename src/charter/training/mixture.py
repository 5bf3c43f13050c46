"""What supervised fine-tuning is given: revisions, mixed with answers to helpful prompts and twins (CAI §3.2)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from charter.records import Prompt, ResponseLabel, SftRow, Trace
from charter.seeds import derive_seed, row_id
from charter.text_quality import classify_response
from charter.text_quality.flags import BLOCKING


@dataclass(frozen=True)
class Mixture:
    """Rows to train on, and how many texts were kept out, by reason."""

    rows: tuple[SftRow, ...]
    left_out: dict[str, int]


def revision_rows(
    traces: Iterable[Trace],
    *,
    revisions: Literal["all", "last"] = "all",
    only_changed: bool = False,
    classes: Collection[ResponseLabel] | None = None,
) -> Mixture:
    """Take revisions as responses: of all rounds (the paper's SL-CAI-n) or the last, flagged ones kept out.

    A text that two rounds of a trace share counts once. ``classes`` keeps revisions of these response classes alone,
    for models too small to revise reliably; None takes all, as the paper does.
    """
    rows: dict[str, SftRow] = {}
    left_out: Counter[str] = Counter()
    for trace in traces:
        for one in trace.rounds if revisions == "all" else trace.rounds[-1:]:
            broken = sorted(set(one.flags) & BLOCKING)
            row = _row(trace.prompt, one.revision, f"revision {one.number}")
            if broken:
                left_out[broken[0]] += 1
            elif only_changed and "identical" in one.flags:
                left_out["identical"] += 1
            elif classes is not None and (found := classify_response(trace.prompt.text, one.revision)) not in classes:
                left_out[f"is {found}"] += 1
            elif row.id in rows:
                left_out["repeats an earlier round"] += 1
            else:
                rows[row.id] = row
    return Mixture(tuple(rows.values()), dict(left_out))


def sampled_rows(traces: Iterable[Trace], limit: int) -> Mixture:
    """Take plain answers (traces without rounds) as responses, at most ``limit``.

    A prompt's own reference stands in for its answers. An answer that does not comply is left out: these prompts are
    benign, and a needless refusal is nothing to learn from. Every prompt gives its first answer before any gives a
    second.
    """
    rows: dict[str, SftRow] = {}
    left_out: Counter[str] = Counter()
    for trace in sorted(traces, key=lambda trace: trace.sample):
        broken = sorted(set(trace.initial_flags) & BLOCKING)
        reference = trace.prompt.reference
        row = _row(trace.prompt, reference or trace.initial, "reference" if reference else "sampled")
        if broken and not reference:
            left_out[broken[0]] += 1
        elif not reference and (found := classify_response(trace.prompt.text, trace.initial)) != "compliance":
            left_out[f"is {found}"] += 1
        elif row.id in rows:
            left_out["duplicate"] += 1
        elif len(rows) >= limit:
            left_out["over the ratio"] += 1
        else:
            rows[row.id] = row
    return Mixture(tuple(rows.values()), dict(left_out))


def samples_needed(n_wanted: int, n_prompts: int) -> int:
    """Say how many answers per prompt give ``n_wanted`` rows."""
    return math.ceil(n_wanted / n_prompts) if n_prompts else 0


def shuffled(rows: Sequence[SftRow], seed: int) -> list[SftRow]:
    """Order rows by a hash of the seed: the same for the same rows, whatever order they came in."""
    return sorted(rows, key=lambda row: (derive_seed(seed, row.id, "sft order"), row.id))


def _row(prompt: Prompt, response: str, origin: str) -> SftRow:
    return SftRow(id=row_id("sft", prompt.id, response), prompt=prompt, response=response, origin=origin)
