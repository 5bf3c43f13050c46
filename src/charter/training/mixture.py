"""What training is given: revisions mixed with answers to helpful prompts and twins, preferences by kind of prompt.

The first is for supervised fine-tuning (CAI §3.2), the second for DPO (CAI §4.1).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, Protocol, TypeVar

from charter.records import Prompt, PromptKind, ResponseLabel, SftRow, Trace
from charter.seeds import derive_seed, row_id
from charter.text_quality import classify_response
from charter.text_quality.flags import BLOCKING, OPEN


class OfPrompt(Protocol):
    """What has an id and answers a prompt: a preference, or the plan of one."""

    @property
    def id(self) -> str:
        """Its own."""

    @property
    def prompt(self) -> Prompt:
        """What it answers."""


OfPromptT = TypeVar("OfPromptT", bound=OfPrompt)


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
    only_confirmed: bool = False,
) -> Mixture:
    """Take revisions as responses: of all rounds (the paper's SL-CAI-n) or the last, flagged ones kept out.

    A text that two rounds of a trace share counts once. ``classes`` keeps revisions of these response classes alone,
    for models too small to revise reliably; None takes all, as the paper does. ``only_confirmed`` leaves out the first
    revision that the judge did not find better than what it replaced, and all after it.
    """
    rows: dict[str, SftRow] = {}
    left_out: Counter[str] = Counter()
    for trace in traces:
        rounds = trace.standing if only_confirmed else trace.rounds
        left_out["not confirmed"] += len(trace.rounds) - len(rounds)
        for one in rounds if revisions == "all" else rounds[-1:]:
            broken = sorted(set(one.flags) & BLOCKING)
            row = _row(trace.prompt, one.revision, f"revision {one.number}", one.flags)
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
    return Mixture(tuple(rows.values()), dict(+left_out))


def mixture_order(prompts: Sequence[Prompt], seed: int) -> list[Prompt]:
    """Order prompts by a hash of the seed: the head of a file sorted by category would leave whole categories out."""
    return sorted(prompts, key=lambda prompt: (derive_seed(seed, prompt.id, "sft mixture"), prompt.id))


def sampled_rows(prompts: Sequence[Prompt], traces: Iterable[Trace], limit: int) -> Mixture:
    """Take plain answers (traces without rounds) as responses, at most ``limit``, in the order of the prompts.

    A prompt's own reference stands in for its answers. An answer that does not comply is left out: these prompts are
    benign, and a needless refusal is nothing to learn from. Every prompt gives its first answer before any gives a
    second; a limit below their number takes the first prompts alone, so put them in ``mixture_order`` before.
    """
    samples: dict[str, list[Trace]] = {prompt.id: [] for prompt in prompts}
    for trace in sorted(traces, key=lambda trace: trace.sample):
        samples[trace.prompt.id].append(trace)
    found = [_plain_answers(prompt, samples[prompt.id]) for prompt in prompts]
    rows: dict[str, SftRow] = {}
    left_out: Counter[str] = Counter()
    for row, fault in (answer for turn in zip_longest(*found) for answer in turn if answer is not None):
        if fault:
            left_out[fault] += 1
        elif row.id in rows:
            left_out["duplicate"] += 1
        elif len(rows) >= limit:
            left_out["over the ratio"] += 1
        else:
            rows[row.id] = row
    return Mixture(tuple(rows.values()), dict(left_out))


def _plain_answers(prompt: Prompt, traces: Iterable[Trace]) -> list[tuple[SftRow, str]]:
    """Give a prompt's answers in their order, each with what keeps it out of training, if anything does."""
    if prompt.reference:
        return [(_row(prompt, prompt.reference, "reference"), "")]
    answers = []
    for trace in traces:
        broken = sorted(set(trace.initial_flags) & BLOCKING)
        label = classify_response(prompt.text, trace.initial)
        fault = broken[0] if broken else "" if label == "compliance" else f"is {label}"
        answers.append((_row(prompt, trace.initial, "sampled", trace.initial_flags), fault))
    return answers


def to_sample(prompts: Sequence[Prompt], n_wanted: int) -> tuple[list[Prompt], int]:
    """Say which prompts have to be answered for ``n_wanted`` rows, and how often each: a reference needs no answer."""
    asked = [prompt for prompt in prompts if not prompt.reference] if n_wanted else []
    n_left = n_wanted - (len(prompts) - len(asked))
    return asked, max(1, math.ceil(n_left / len(asked))) if asked else 0


def shuffled(rows: Sequence[SftRow], seed: int) -> list[SftRow]:
    """Order rows by a hash of the seed: the same for the same rows, whatever order they came in."""
    return sorted(rows, key=lambda row: (derive_seed(seed, row.id, "sft order"), row.id))


def in_shares(rows: Sequence[OfPromptT], shares: Mapping[PromptKind, float], seed: int) -> list[OfPromptT]:
    """Keep as many preferences as shares of the kinds of prompt allow, in their order.

    How many pairs a kind gives depends on the model, and a model that learns from pairs of two kinds when to object
    learns their ratio with it. The kind that is scarcest for its share says how many there are in all; which of the
    others' go is drawn. A kind without a share has none; a share of a kind without preferences leaves nothing.
    """
    of_kind = {kind: [row.id for row in rows if row.prompt.kind == kind] for kind, share in shares.items() if share}
    scale = min((len(ids) / shares[kind] for kind, ids in of_kind.items()), default=0.0)
    kept: set[str] = set()
    for kind, ids in of_kind.items():
        drawn = sorted(ids, key=lambda name: (derive_seed(seed, name, "dpo mixture"), name))
        kept |= set(drawn[: max(1, round(scale * shares[kind]))] if scale else ())
    return [row for row in rows if row.id in kept]


def _row(prompt: Prompt, response: str, origin: str, flags: Collection[str] = ()) -> SftRow:
    whole = OPEN not in flags
    return SftRow(id=row_id("sft", prompt.id, response), prompt=prompt, response=response, origin=origin, whole=whole)
