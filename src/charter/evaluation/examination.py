"""Everything that a model is put to without a judge: held-out prompts, texts to be scored, multiple choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from charter.engines.base import Engine, Sampling
from charter.evaluation.bench import Bench
from charter.evaluation.likelihood import (
    ScoreRow,
    drift_rows,
    measure_loss,
    measure_preference_accuracy,
    score,
)
from charter.evaluation.multiple_choice import (
    ChoiceAnswer,
    ChoiceRow,
    answer,
    leave_out_seen,
    load_choices,
    measure_accuracy,
)
from charter.evaluation.responding import respond
from charter.records import Measurement, Preference, Prompt, Response, Scored


@dataclass(frozen=True)
class Tasks:
    """What every model is put to."""

    prompts: Sequence[Prompt]
    sampling: Sampling
    references: Sequence[ScoreRow]
    preferences: Sequence[ScoreRow]
    choices: Mapping[str, Sequence[ChoiceRow]]


@dataclass(frozen=True)
class Examined:
    """What one model did."""

    responses: tuple[Response, ...]
    references: Sequence[Scored]
    drift: Sequence[Scored]
    preferences: Sequence[Scored]
    choices: Mapping[str, Sequence[ChoiceAnswer]]


def load_unseen(
    bench: Bench, files: Sequence[str], seen: Mapping[str, Sequence[str]], near_duplicates: float | None
) -> dict[str, Sequence[ChoiceRow]]:
    """Load multiple-choice files, less the questions whose context was seen before (see ``leave_out_seen``)."""
    choices: dict[str, Sequence[ChoiceRow]] = {}
    for file in files:
        choices[file], left_out = leave_out_seen(load_choices(file), seen, near_duplicates)
        bench.n_in += sum(left_out.values())
        bench.filtered.update({f"multiple choice {file}: {reason}": n for reason, n in left_out.items()})
    return choices


def examine(bench: Bench, model: str, engine: Engine, tasks: Tasks, base: Examined | None) -> Examined:
    """Put one model to everything that needs no judge; ``base`` is what the base did, None for the base itself."""
    mapped = respond(tasks.prompts, model, engine, sampling=tasks.sampling, seed=bench.seed, mapper=bench.mapper)
    responses = bench.count(f"respond/{model}", mapped)

    def scored(rows: Sequence[ScoreRow], purpose: str) -> Sequence[Scored]:
        place = f"{purpose}/{model}"
        return bench.count(place, score(rows, model, engine, purpose=purpose, mapper=bench.mapper)) if rows else ()

    def answered(rows: Sequence[ChoiceRow], file: str) -> Sequence[ChoiceAnswer]:
        place = f"multiple choice {file}/{model}"
        return bench.count(place, answer(rows, model, engine, file=file, mapper=bench.mapper)) if rows else ()

    return Examined(
        responses=responses,
        references=scored(tasks.references, "reference loss"),
        drift=scored(drift_rows(responses if base is None else base.responses), "drift"),
        preferences=scored(tasks.preferences, "preferences"),
        choices={file: answered(rows, file) for file, rows in tasks.choices.items()},
    )


def measure_choices(bench: Bench, tasks: Tasks, examined: Mapping[str, Examined]) -> Iterator[Measurement]:
    """Measure each model's share of right answers, file by file."""
    for file, rows in tasks.choices.items():
        answers = {model: one.choices[file] for model, one in examined.items()}
        yield from measure_accuracy(file, rows, answers, base=bench.base)


def measure_likelihood(
    bench: Bench, examined: Mapping[str, Examined], preferences: Sequence[Preference]
) -> list[Measurement]:
    """Measure what the models find likely: reference answers, the base's own, and held-out preferences."""
    references = {model: one.references for model, one in examined.items()}
    drift = {model: one.drift for model, one in examined.items()}
    sides = {model: one.preferences for model, one in examined.items()}
    names = list(examined)
    loss = partial(measure_loss, base=bench.base, groups=bench.groups)
    return [
        *loss("reference_loss", references, rows="data/prompts.parquet", lower_is_better=True),
        *loss("drift", drift, rows="data/responses.parquet", lower_is_better=False),
        *measure_preference_accuracy(preferences, sides, dict(zip(names[1:], names, strict=False))),
    ]
