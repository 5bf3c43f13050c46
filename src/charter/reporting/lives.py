"""A prompt's life as JSON values: rows with what a reader sees of them, each text by its number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from charter.rating.records import Rating
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

ResponseClassOf = Callable[[str, str], str]

#: What a pair came to; nothing where it was not judged.
Outcome = Preference | Unlabelled | None


@dataclass
class Life:
    """All rows about one prompt; ``twins`` are the prompts that imitate it."""

    prompt: Prompt
    traces: list[Trace] = field(default_factory=list)
    sft: list[SftRow] = field(default_factory=list)
    pairs: list[tuple[Pair, Outcome]] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    ratings: list[Rating] = field(default_factory=list)
    twins: list[str] = field(default_factory=list)

    @property
    def n_rows(self) -> int:
        """Traces, pairs and responses: what a reader can list."""
        return len(self.traces) + len(self.pairs) + len(self.responses)


class Texts:
    """Each distinct text once; rows carry its number. ``n_bytes`` is what they take as JSON."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.n_bytes = 0
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """Give a text its number, the same one every time."""
        if text not in self._numbers:
            self._numbers[text] = len(self.texts)
            self.texts.append(text)
            self.n_bytes += len(json_text(text).encode("utf-8", "backslashreplace")) + 1
        return self._numbers[text]


def life_value(life: Life, texts: Texts, classify: ResponseClassOf) -> dict[str, Any]:
    """Write a life as a JSON value.

    Args:
        life: all rows about one prompt.
        texts: takes the texts.
        classify: gives the response class of a response to a prompt.
    """
    prompt = life.prompt
    readings = {reading.response: reading for reading in life.readings}
    return {
        "id": prompt.id,
        "kind": prompt.kind,
        "category": prompt.category,
        "source": prompt.source,
        "split": prompt.split,
        "twin_of": prompt.twin_of,
        "twins": life.twins,
        "turns": [[turn.role, texts.number(turn.content)] for turn in prompt.turns],
        "reference": None if prompt.reference is None else texts.number(prompt.reference),
        "traces": [_trace(trace, texts, classify) for trace in life.traces],
        "sft": [[row.origin, texts.number(row.response), row.whole] for row in life.sft],
        "pairs": [_pair(pair, outcome, texts) for pair, outcome in life.pairs],
        "responses": [_response(response, readings.get(response.id), texts) for response in life.responses],
        "comparisons": [_comparison(comparison, texts) for comparison in life.comparisons],
        "readings": [_reading(reading, texts) for reading in life.readings],
        "ratings": [_rating(rating) for rating in life.ratings],
    }


def _response(response: Response, reading: Reading | None, texts: Texts) -> dict[str, Any]:
    return {
        "id": response.id,
        "model": response.model,
        "text": texts.number(response.text),
        "finish": response.finish,
        "label": response.label,
        "flags": list(response.flags),
        "judged": None if reading is None else _judged(reading),
    }


def _trace(trace: Trace, texts: Texts, classify: ResponseClassOf) -> dict[str, Any]:
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


def _pair(pair: Pair, outcome: Outcome, texts: Texts) -> dict[str, Any]:
    return {
        "id": pair.id,
        "a": texts.number(pair.a),
        "b": texts.number(pair.b),
        "source": pair.source,
        "intended": pair.intended,
        "origins": [pair.origin_a, pair.origin_b],
        "whole": [pair.whole_a, pair.whole_b],
        "agreement": _agreement(pair, outcome),
        "label": _label(outcome, texts) if isinstance(outcome, Preference) else None,
        "left_out": _left_out(outcome, texts) if isinstance(outcome, Unlabelled) else None,
    }


def _agreement(pair: Pair, outcome: Outcome) -> str:
    if not isinstance(outcome, Preference):
        return "not labelled"
    if pair.intended is None:
        return "no side intended"
    if outcome.agrees is None:
        return "judge undecided"
    return "agrees with intention" if outcome.agrees else "against intention"


def _left_out(one: Unlabelled, texts: Texts) -> dict[str, Any]:
    return {
        "reason": one.reason,
        "p_a": _short(one.p_a),
        "verdicts": [_verdict(verdict, texts) for verdict in one.verdicts],
    }


def _label(preference: Preference, texts: Texts) -> dict[str, Any]:
    return {
        "id": preference.id,
        "chosen": preference.chosen_side,
        "p_chosen": _short(preference.p_chosen),
        "p_judge": _short(preference.p_judge),
        "position_bias": _short(preference.position_bias),
        "weight": _short(preference.weight),
        "verdicts": [_verdict(verdict, texts) for verdict in preference.verdicts],
    }


def _comparison(comparison: Comparison, texts: Texts) -> dict[str, Any]:
    return {
        "id": comparison.id,
        "model": comparison.model,
        "base": comparison.base,
        "win": comparison.win,
        "p_model": _short(comparison.p_model),
        "position_bias": _short(comparison.position_bias),
        "verdicts": [_verdict(verdict, texts) for verdict in comparison.verdicts],
    }


def _reading(reading: Reading, texts: Texts) -> dict[str, Any]:
    return {
        "id": reading.id,
        "response": reading.response,
        "model": reading.model,
        "label": reading.label,
        "judged": _judged(reading),
        "p_complied": _short(reading.p_complied),
        "position_bias": _short(reading.position_bias),
        "verdicts": [_verdict(verdict, texts) for verdict in reading.verdicts],
    }


def _rating(one: Rating) -> dict[str, Any]:
    return {"rater": one.rater, "model": one.model, "base": one.base, "win": one.win, "question": one.question}


def _judged(reading: Reading) -> str:
    if reading.p_complied is None:
        return "reading invalid"
    if reading.p_complied == 0.5:
        return "judge undecided"
    return "judged to comply" if reading.p_complied > 0.5 else "judged not to comply"


def _verdict(verdict: Verdict, texts: Texts) -> dict[str, Any]:
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
