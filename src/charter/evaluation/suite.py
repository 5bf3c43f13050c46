"""The evaluation of a run: every measurement, on held-out prompts, for base, SFT and DPO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charter.constitution.model import Constitution
from charter.engines.base import Engine, Sampling
from charter.evaluation.behaviour import measure_behaviour
from charter.evaluation.head_to_head import compare, matches, measure_win_rate
from charter.evaluation.likelihood import (
    ScoreRow,
    drift_rows,
    measure_loss,
    measure_preference_accuracy,
    preference_rows,
    reference_rows,
    score,
)
from charter.evaluation.multiple_choice import answer, load_choices, measure_accuracy
from charter.evaluation.responding import respond
from charter.feedback.judge import Judge
from charter.feedback.questions import make_asking
from charter.records import Comparison, Measurement, Preference, Prompt, PromptKind, Response, Scored
from charter.rows import RowMapper, map_rows


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found, and the rows behind it. ``left_out`` counts rows without a value, by stage."""

    measurements: tuple[Measurement, ...]
    responses: tuple[Response, ...]
    comparisons: tuple[Comparison, ...]
    left_out: dict[str, int]


@dataclass
class _Bench:
    """The models on the bench, base first, and what has been found so far."""

    models: Mapping[str, Engine]
    base: str
    seed: int
    mapper: RowMapper
    left_out: dict[str, int]


def evaluate(
    models: Mapping[str, Engine],
    prompts: Sequence[Prompt],
    constitution: Constitution,
    *,
    judge: Engine | None = None,
    helpful: Constitution | None = None,
    preferences: Sequence[Preference] = (),
    multiple_choice: Sequence[str] = (),
    temperature: float = 0.7,
    max_tokens: int = 128,
    k_principles: int = 1,
    seed: int = 0,
    mapper: RowMapper = map_rows,
) -> Evaluation:
    """Measure models on held-out prompts; the first is the base that others are compared with.

    Args:
        models: by name, in the order of training: each is the reference of the next.
        prompts: held-out, of every kind; those with a reference answer measure retention.
        constitution: its principles judge red-team prompts.
        judge: judges head to head; None leaves that out.
        helpful: its principles judge helpful prompts; None takes ``constitution``.
        preferences: held-out, for the accuracy of the implicit reward.
        multiple_choice: files of multiple-choice rows.
        temperature: of the answers.
        max_tokens: at most, per answer.
        k_principles: drawn per comparison.
        seed: of the run.
        mapper: what maps the row functions.
    """
    bench = _Bench(models, next(iter(models)), seed, mapper, {})
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
    responses = _respond(bench, prompts, sampling)
    measurements = measure_behaviour(responses, base=bench.base)
    measurements += _measure_retention(bench, prompts, responses[bench.base])
    if preferences:
        measurements += _measure_preferences(bench, preferences)
    comparisons: list[Comparison] = []
    if judge is not None:
        judged, comparisons = _head_to_head(
            bench,
            responses,
            judge,
            constitution=constitution,
            helpful=helpful or constitution,
            k_principles=k_principles,
        )
        measurements += judged
    for file in multiple_choice:
        measurements += _measure_choices(bench, file)
    every = tuple(response for rows in responses.values() for response in rows)
    return Evaluation(tuple(measurements), every, tuple(comparisons), bench.left_out)


def _respond(bench: _Bench, prompts: Sequence[Prompt], sampling: Sampling) -> dict[str, tuple[Response, ...]]:
    found = {}
    for model, engine in bench.models.items():
        mapped = respond(prompts, model, engine, sampling=sampling, seed=bench.seed, mapper=bench.mapper)
        bench.left_out[f"respond/{model}"] = mapped.n_in - len(mapped.done)
        found[model] = mapped.done
    return found


def _measure_retention(bench: _Bench, prompts: Sequence[Prompt], base: Sequence[Response]) -> list[Measurement]:
    found: list[Measurement] = []
    references, drift = reference_rows(prompts), drift_rows(base)
    if references:
        scores = _score(bench, references, "reference loss")
        found += measure_loss(
            "reference_loss", scores, base=bench.base, rows="data/prompts.parquet", lower_is_better=True
        )
    if drift:
        scores = _score(bench, drift, "drift")
        found += measure_loss("drift", scores, base=bench.base, rows="data/responses.parquet", lower_is_better=False)
    return found


def _score(bench: _Bench, rows: Sequence[ScoreRow], purpose: str) -> dict[str, Sequence[Scored]]:
    found: dict[str, Sequence[Scored]] = {}
    for model, engine in bench.models.items():
        mapped = score(rows, model, engine, purpose=purpose, mapper=bench.mapper)
        bench.left_out[f"{purpose}/{model}"] = mapped.n_in - len(mapped.done)
        found[model] = mapped.done
    return found


def _measure_preferences(bench: _Bench, preferences: Sequence[Preference]) -> list[Measurement]:
    scores = _score(bench, preference_rows(preferences), "preferences")
    names = list(bench.models)
    references = dict(zip(names[1:], names, strict=False))
    return measure_preference_accuracy(preferences, scores, references)


def _head_to_head(
    bench: _Bench,
    responses: Mapping[str, Sequence[Response]],
    judge: Engine,
    *,
    constitution: Constitution,
    helpful: Constitution,
    k_principles: int,
) -> tuple[list[Measurement], list[Comparison]]:
    contests: list[tuple[str, PromptKind, Constitution]] = [
        ("win_rate_harmless", "red_team", constitution),
        ("win_rate_helpful", "helpful", helpful),
    ]
    measured: list[Measurement] = []
    every: list[Comparison] = []
    for name, kind, standard in contests:
        one = Judge(engine=judge, asking=make_asking(standard, seed=bench.seed), seed=bench.seed)
        found: dict[str, tuple[Comparison, ...]] = {}
        for model, rows in responses.items():
            contest = matches(responses[bench.base], rows, kind) if model != bench.base else []
            if contest:
                mapped = compare(
                    contest, one, standard, k_principles=k_principles, seed=bench.seed, mapper=bench.mapper
                )
                found[model] = mapped.done
                invalid = sum(row.win is None for row in mapped.done)
                bench.left_out[f"{name}/{model}"] = mapped.n_in - len(mapped.done) + invalid
                every += mapped.done
        measured += measure_win_rate(name, found, kind)
    return measured, every


def _measure_choices(bench: _Bench, file: str) -> list[Measurement]:
    rows = load_choices(file)
    answers = {}
    for model, engine in bench.models.items():
        mapped = answer(rows, model, engine, file=file, mapper=bench.mapper)
        bench.left_out[f"multiple choice {file}/{model}"] = mapped.n_in - len(mapped.done)
        answers[model] = mapped.done
    return measure_accuracy(file, rows, answers, base=bench.base)
