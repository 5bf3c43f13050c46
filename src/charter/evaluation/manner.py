"""The manner of answers, whatever they say: boilerplate, preachy phrases, repetition, variety, length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from charter.evaluation.behaviour import QUANTITIES, Quantity, measure_quantity
from charter.records import Measurement, PromptKind, Response
from charter.text_quality import distinct_n, preachy_phrases, repeated_ngram_share

ROWS = "answers.jsonl"
_SHARE = (0.0, 1.0)
_SHARED = ("boilerplate", "repetition")  # with a run's figures

MANNERS = (
    *(one for one in QUANTITIES if one.name in _SHARED),
    Quantity("preachy", None, "lower", lambda one: preachy_phrases(one.text) > 0),
    Quantity("repeated_words", None, "lower", lambda one: repeated_ngram_share(one.text), "score", _SHARE),
    Quantity("distinct_pairs", None, "higher", lambda one: distinct_n([one.text]), "score", _SHARE),
    Quantity("answer_words", None, "neither", lambda one: len(one.text.split()), unit="tokens"),
)


def measure_manner(
    responses: Mapping[str, Sequence[Response]], *, base: str, groups: Mapping[str, str]
) -> list[Measurement]:
    """Measure the manner of answers over all prompts, and by kind where there are several.

    Rates of boilerplate, of preachy phrases and of repetition; the mean share of an answer's runs of four words that it
    repeats, of its pairs of words that are distinct, and its number of words.

    Args:
        responses: per model.
        base: the model that others are compared with.
        groups: of the prompts, by id (see ``prompts.grouping.prompt_groups``).
    """
    kinds: list[PromptKind] = list(dict.fromkeys(one.prompt.kind for rows in responses.values() for one in rows))
    parts: list[PromptKind | None] = [None, *(kinds if len(kinds) > 1 else [])]
    return [
        found
        for kind in parts
        for quantity in MANNERS
        for found in measure_quantity(replace(quantity, kind=kind), responses, base, groups, rows=ROWS)
    ]
