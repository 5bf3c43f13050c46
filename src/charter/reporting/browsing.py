"""The rows that a reader can open, as compact JSON: every text once, rows by number, all of a prompt's rows together.

Above a limit of rows or of bytes a sample of prompts is taken: in the order of a seeded hash of their ids, each with
all its rows, so that a prompt's life is shown whole or not at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from charter.feedback.settling import judged_of, pair_of
from charter.records import (
    Comparison,
    Pair,
    Preference,
    Prompt,
    Reading,
    Response,
    SftRow,
    Trace,
    Unlabelled,
    Verdict,
)
from charter.reporting.markup import json_text
from charter.reporting.reading import RunData
from charter.seeds import digest

MAX_ROWS = 5000
MAX_BYTES = 5_000_000


@dataclass(frozen=True)
class Rows:
    """What the row browser is given: ``payload`` is JSON; ``n_prompts`` of ``n_all_prompts`` are in it."""

    payload: dict[str, Any]
    n_prompts: int
    n_all_prompts: int
    n_rows: int
    n_all_rows: int
    seed: int

    @property
    def is_sample(self) -> bool:
        """Whether something was left out."""
        return self.n_prompts < self.n_all_prompts


#: What a pair came to; nothing where it was not judged.
_Outcome = Preference | Unlabelled | None


@dataclass
class _Life:
    """All rows about one prompt."""

    prompt: Prompt
    traces: list[Trace] = field(default_factory=list)
    sft: list[SftRow] = field(default_factory=list)
    pairs: list[tuple[Pair, _Outcome]] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)

    @property
    def n_rows(self) -> int:
        return len(self.traces) + len(self.pairs) + len(self.responses)


class _Texts:
    """Each distinct text once; rows carry its number."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.n_bytes = 0
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        if text not in self._numbers:
            self._numbers[text] = len(self.texts)
            self.texts.append(text)
            self.n_bytes += len(json_text(text).encode("utf-8", "backslashreplace")) + 1
        return self._numbers[text]


def gather(
    data: RunData,
    *,
    classify: Callable[[str, str], str],
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
) -> Rows:
    """Gather the rows of a run for the row browser.

    Args:
        data: the run.
        classify: gives the response class of a response to a prompt.
        max_rows: how many traces, pairs and responses are embedded.
        max_bytes: how large their JSON may become.
    """
    lives = _lives(data)
    seed = data.recipe.get("seed")
    seed = seed if isinstance(seed, int) else 0
    order = sorted(lives, key=lambda key: digest(["report", seed, key]))
    texts = _Texts()
    taken: dict[str, dict[str, Any]] = {}
    n_rows = n_bytes = n_texts = 0
    for key in order:
        entry = _life(lives[key], texts, classify)
        n_rows += lives[key].n_rows
        n_bytes += len(json_text(entry))
        if taken and (n_rows > max_rows or n_bytes + texts.n_bytes > max_bytes):
            n_rows -= lives[key].n_rows
            break
        taken[key] = entry
        n_texts = len(texts.texts)
    kept = [taken[key] for key in lives if key in taken]
    models = list(data.evaluation.models) if data.evaluation else []
    payload = {"texts": texts.texts[:n_texts], "lives": kept, "models": models}
    return Rows(payload, len(kept), len(lives), n_rows, sum(life.n_rows for life in lives.values()), seed)


def _lives(data: RunData) -> dict[str, _Life]:
    """Group rows by prompt id, in the order of the prompts' file, then of first appearance."""
    lives: dict[str, _Life] = {}

    def life(prompt: Prompt) -> _Life:
        return lives.setdefault(prompt.id, _Life(prompt))

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
    return lives


def _judged(data: RunData) -> list[tuple[Pair, _Outcome]]:
    """Join pairs with what they came to; one that the pairs' file lacks is made anew of what was judged."""
    found: dict[str, list[_Outcome]] = defaultdict(list)
    for one in data.judged:
        found[judged_of(one).id].append(one)
    joined: list[tuple[Pair, _Outcome]] = []
    for pair in data.pairs:
        joined += [(pair, one) for one in found.pop(pair.id, [None])]
    joined += [(pair_of(judged_of(one)), one) for rest in found.values() for one in rest if one is not None]
    return joined


def _life(life: _Life, texts: _Texts, classify: Callable[[str, str], str]) -> dict[str, Any]:
    prompt = life.prompt
    return {
        "id": prompt.id,
        "kind": prompt.kind,
        "category": prompt.category,
        "source": prompt.source,
        "split": prompt.split,
        "twin_of": prompt.twin_of,
        "turns": [[turn.role, texts.number(turn.content)] for turn in prompt.turns],
        "reference": None if prompt.reference is None else texts.number(prompt.reference),
        "traces": [_trace(trace, texts, classify) for trace in life.traces],
        "sft": [[row.origin, texts.number(row.response), row.whole] for row in life.sft],
        "pairs": [_pair(pair, outcome, texts) for pair, outcome in life.pairs],
        "responses": [
            {
                "id": response.id,
                "model": response.model,
                "text": texts.number(response.text),
                "finish": response.finish,
                "label": response.label,
                "flags": list(response.flags),
            }
            for response in life.responses
        ],
        "comparisons": [_comparison(comparison, texts) for comparison in life.comparisons],
        "readings": [_reading(reading, texts) for reading in life.readings],
    }


def _trace(trace: Trace, texts: _Texts, classify: Callable[[str, str], str]) -> dict[str, Any]:
    return {
        "id": trace.id,
        "sample": trace.sample,
        "initial": texts.number(trace.initial),
        "initial_flags": list(trace.initial_flags),
        "initial_class": str(classify(trace.prompt.text, trace.initial)),
        "flags": list(trace.flags),
        "rounds": [
            {
                "number": step.number,
                "principle": step.principle,
                "critique_request": texts.number(step.critique_request),
                "critique": texts.number(step.critique),
                "revision_request": texts.number(step.revision_request),
                "revision": texts.number(step.revision),
                "revision_class": str(classify(trace.prompt.text, step.revision)),
                "flags": list(step.flags),
                "confirmed": step.confirmed,
                "p_better": _short(step.p_better),
            }
            for step in trace.rounds
        ],
    }


def _pair(pair: Pair, outcome: _Outcome, texts: _Texts) -> dict[str, Any]:
    return {
        "id": pair.id,
        "a": texts.number(pair.a),
        "b": texts.number(pair.b),
        "source": pair.source,
        "intended": pair.intended,
        "origins": [pair.origin_a, pair.origin_b],
        "whole": [pair.whole_a, pair.whole_b],
        "label": _label(outcome, texts) if isinstance(outcome, Preference) else None,
        "left_out": _left_out(outcome, texts) if isinstance(outcome, Unlabelled) else None,
    }


def _left_out(one: Unlabelled, texts: _Texts) -> dict[str, Any]:
    return {
        "reason": one.reason,
        "p_a": _short(one.p_a),
        "verdicts": [_verdict(verdict, texts) for verdict in one.verdicts],
    }


def _label(preference: Preference, texts: _Texts) -> dict[str, Any]:
    return {
        "id": preference.id,
        "chosen": preference.chosen_side,
        "p_chosen": _short(preference.p_chosen),
        "p_judge": _short(preference.p_judge),
        "position_bias": _short(preference.position_bias),
        "agrees": preference.agrees,
        "weight": _short(preference.weight),
        "verdicts": [_verdict(verdict, texts) for verdict in preference.verdicts],
    }


def _comparison(comparison: Comparison, texts: _Texts) -> dict[str, Any]:
    return {
        "id": comparison.id,
        "model": comparison.model,
        "base": comparison.base,
        "win": comparison.win,
        "p_model": _short(comparison.p_model),
        "position_bias": _short(comparison.position_bias),
        "verdicts": [_verdict(verdict, texts) for verdict in comparison.verdicts],
    }


def _reading(reading: Reading, texts: _Texts) -> dict[str, Any]:
    return {
        "id": reading.id,
        "response": reading.response,
        "model": reading.model,
        "label": reading.label,
        "p_complied": _short(reading.p_complied),
        "position_bias": _short(reading.position_bias),
        "verdicts": [_verdict(verdict, texts) for verdict in reading.verdicts],
    }


def _verdict(verdict: Verdict, texts: _Texts) -> dict[str, Any]:
    return {
        "principle": verdict.principle,
        "judge": verdict.judge,
        "order": verdict.order,
        "logprobs": [_short(verdict.logprob_first), _short(verdict.logprob_second)],
        "mass": _short(verdict.option_mass),
        "p_a": _short(verdict.p_a),
        "chains": [texts.number(chain) for chain in verdict.chains],
        "invalid": verdict.invalid,
    }


def _short(number: float | None) -> float | None:
    """Four decimals are more than a reader or a plot can tell apart; infinities, which JSON lacks, become None."""
    return None if number is None or number != number or abs(number) == float("inf") else round(number, 4)  # noqa: PLR0124 - NaN
