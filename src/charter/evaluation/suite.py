"""The evaluation of a run: every measurement, on held-out prompts, for base, SFT and DPO."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from charter.constitution.model import Constitution
from charter.engines.base import Engine, Sampling
from charter.evaluation.behaviour import measure_behaviour
from charter.evaluation.head_to_head import compare, matches, measure_win_rate
from charter.evaluation.judge_reading import ASKING, measure_readings, read
from charter.evaluation.likelihood import (
    ScoreRow,
    drift_rows,
    measure_loss,
    measure_preference_accuracy,
    preference_rows,
    reference_rows,
    score,
)
from charter.evaluation.multiple_choice import (
    ChoiceAnswer,
    ChoiceRow,
    answer,
    leave_out_seen,
    load_choices,
    measure_accuracy,
    seen_texts,
)
from charter.evaluation.responding import respond
from charter.feedback.judge import Judge, Judging, make_judge
from charter.prompts.grouping import prompt_groups
from charter.records import Comparison, Measurement, Preference, Prompt, PromptKind, Reading, Response, Scored
from charter.rows import Mapped, RowMapper, map_rows

#: An engine, or what opens one for as long as it is needed and closes it then.
EngineSource = Engine | Callable[[], AbstractContextManager[Engine]]

_UNREADABLE = "no valid verdict"


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found, and the rows behind it.

    Of ``n_in`` rows (answers, scores, comparisons, readings) ``n_done`` have a value; ``filtered`` and ``failed`` count
    the others by step and reason. A comparison or reading that no verdict could be read for is among the filtered.
    """

    measurements: tuple[Measurement, ...]
    responses: tuple[Response, ...]
    comparisons: tuple[Comparison, ...]
    readings: tuple[Reading, ...]
    n_in: int
    n_done: int
    filtered: dict[str, int]
    failed: dict[str, int]


@dataclass
class _Bench:
    """What all steps share, the held-out prompts' groups by id among it, and how their rows ended so far."""

    base: str
    seed: int
    mapper: RowMapper
    groups: Mapping[str, str]
    n_in: int = 0
    n_done: int = 0
    filtered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def count(self, step: str, mapped: Mapped[Any], n_unreadable: int = 0) -> None:
        """Count the rows of a step; of those done some may have no verdict that could be read."""
        self.n_in += mapped.n_in
        self.n_done += len(mapped.done) - n_unreadable
        for counts, reasons in ((self.filtered, mapped.reasons["filtered"]), (self.failed, mapped.reasons["failed"])):
            counts.update({f"{step}: {reason}": n for reason, n in reasons.items()})
        self.filtered.update({f"{step}: {_UNREADABLE}": n_unreadable} if n_unreadable else {})


@dataclass(frozen=True)
class _Tasks:
    """What every model is put to."""

    prompts: Sequence[Prompt]
    sampling: Sampling
    references: Sequence[ScoreRow]
    preferences: Sequence[ScoreRow]
    choices: Mapping[str, Sequence[ChoiceRow]]


@dataclass(frozen=True)
class _Seen:
    """What one model did."""

    responses: tuple[Response, ...]
    references: Sequence[Scored]
    drift: Sequence[Scored]
    preferences: Sequence[Scored]
    choices: Mapping[str, Sequence[ChoiceAnswer]]


@dataclass(frozen=True)
class _Contest:
    """A head to head: what its figure is called, on which prompts, and by whose principles."""

    name: str
    kind: PromptKind
    standard: Constitution


@dataclass
class _Judged:
    """What the judge found so far."""

    measurements: list[Measurement] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)


def evaluate(
    models: Mapping[str, EngineSource],
    prompts: Sequence[Prompt],
    constitution: Constitution,
    *,
    judge: EngineSource | None = None,
    helpful: Constitution | None = None,
    preferences: Sequence[Preference] = (),
    multiple_choice: Sequence[str] = (),
    trained_on: Sequence[Prompt] = (),
    temperature: float = 0.7,
    max_tokens: int = 128,
    head_to_head: bool = True,
    judge_reading: bool = False,
    k_principles: int = 1,
    judging: Judging | None = None,
    seed: int = 0,
    mapper: RowMapper = map_rows,
) -> Evaluation:
    """Measure models on held-out prompts; the first is the base that others are compared with.

    Models are needed one after another, and the judge after all of them: where memory holds one alone, give functions
    that open an engine as a context.

    Args:
        models: by name, in the order of training: each is the reference of the next.
        prompts: held-out, of every kind; those with a reference answer measure retention.
        constitution: its principles judge red-team prompts.
        judge: the model that judges; None leaves out whatever is judged.
        helpful: its principles judge helpful prompts; None takes ``constitution``.
        preferences: held-out, for the accuracy of the implicit reward.
        multiple_choice: files of multiple-choice rows. Those that ask what a training prompt or a few-shot example
            asks are filtered, once for all models.
        trained_on: the training prompts.
        temperature: of the answers.
        max_tokens: at most, per answer.
        head_to_head: whether the judge compares the models with the base.
        judge_reading: whether the judge says of every answer to a red-team prompt if it complied.
        k_principles: drawn per comparison.
        judging: how the judge is asked; a reading has no worked examples.
        seed: of the run.
        mapper: what maps the row functions.
    """
    bench = _Bench(next(iter(models)), seed, mapper, prompt_groups(prompts))
    tasks = _Tasks(
        prompts,
        Sampling(temperature=temperature, max_tokens=max_tokens),
        reference_rows(prompts),
        preference_rows(preferences),
        _load_choices(bench, multiple_choice, seen_texts((constitution, helpful or constitution), trained_on)),
    )
    seen: dict[str, _Seen] = {}
    for model, source in models.items():
        with _opened(source) as engine:
            seen[model] = _examine(bench, model, engine, tasks, seen.get(bench.base))
    responses = {model: one.responses for model, one in seen.items()}
    measurements = measure_behaviour(responses, base=bench.base, groups=bench.groups)
    measurements += _measure_likelihood(bench, seen, preferences)
    judged = _Judged()
    if judge is not None and (head_to_head or judge_reading):
        contests = (
            _Contest("win_rate_harmless", "red_team", constitution),
            _Contest("win_rate_helpful", "helpful", helpful or constitution),
        )
        with _opened(judge) as engine:
            ask = partial(make_judge, engine, judging=judging or Judging(), seed=seed)
            for contest in contests if head_to_head else ():
                _compare(bench, judged, responses, contest, ask(contest.standard), k_principles=k_principles)
            if judge_reading:
                _read(bench, judged, responses, ask(ASKING))
    measurements += judged.measurements
    for file, rows in tasks.choices.items():
        answers = {model: one.choices[file] for model, one in seen.items()}
        measurements += measure_accuracy(file, rows, answers, base=bench.base)
    return Evaluation(
        tuple(measurements),
        tuple(response for rows in responses.values() for response in rows),
        tuple(judged.comparisons),
        tuple(judged.readings),
        bench.n_in,
        bench.n_done,
        dict(bench.filtered),
        dict(bench.failed),
    )


def _load_choices(
    bench: _Bench, files: Sequence[str], seen: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[ChoiceRow]]:
    """Load multiple-choice files, less the questions whose context was seen before."""
    choices: dict[str, Sequence[ChoiceRow]] = {}
    for file in files:
        choices[file], left_out = leave_out_seen(load_choices(file), seen)
        bench.n_in += sum(left_out.values())
        bench.filtered.update({f"multiple choice {file}: {reason}": n for reason, n in left_out.items()})
    return choices


@contextlib.contextmanager
def _opened(source: EngineSource) -> Iterator[Engine]:
    """Open an engine where it has to be opened; one that was given as it is stays open."""
    if callable(source):
        with source() as engine:
            yield engine
    else:
        yield source


def _examine(bench: _Bench, model: str, engine: Engine, tasks: _Tasks, base: _Seen | None) -> _Seen:
    """Put one model to everything that needs no judge; ``base`` is what the base did, None for the base itself."""
    responses = respond(tasks.prompts, model, engine, sampling=tasks.sampling, seed=bench.seed, mapper=bench.mapper)
    bench.count(f"respond/{model}", responses)

    def scored(rows: Sequence[ScoreRow], purpose: str) -> Sequence[Scored]:
        if not rows:
            return ()
        mapped = score(rows, model, engine, purpose=purpose, mapper=bench.mapper)
        bench.count(f"{purpose}/{model}", mapped)
        return mapped.done

    def answered(rows: Sequence[ChoiceRow], file: str) -> Sequence[ChoiceAnswer]:
        if not rows:
            return ()
        mapped = answer(rows, model, engine, file=file, mapper=bench.mapper)
        bench.count(f"multiple choice {file}/{model}", mapped)
        return mapped.done

    return _Seen(
        responses=responses.done,
        references=scored(tasks.references, "reference loss"),
        drift=scored(drift_rows(responses.done if base is None else base.responses), "drift"),
        preferences=scored(tasks.preferences, "preferences"),
        choices={file: answered(rows, file) for file, rows in tasks.choices.items()},
    )


def _measure_likelihood(
    bench: _Bench, seen: Mapping[str, _Seen], preferences: Sequence[Preference]
) -> list[Measurement]:
    references = {model: one.references for model, one in seen.items()}
    drift = {model: one.drift for model, one in seen.items()}
    sides = {model: one.preferences for model, one in seen.items()}
    names = list(seen)
    loss = partial(measure_loss, base=bench.base, groups=bench.groups)
    return [
        *loss("reference_loss", references, rows="data/prompts.parquet", lower_is_better=True),
        *loss("drift", drift, rows="data/responses.parquet", lower_is_better=False),
        *measure_preference_accuracy(preferences, sides, dict(zip(names[1:], names, strict=False))),
    ]


def _compare(
    bench: _Bench,
    judged: _Judged,
    responses: Mapping[str, Sequence[Response]],
    contest: _Contest,
    judge: Judge,
    *,
    k_principles: int,
) -> None:
    """Compare every model with the base on the prompts of one kind."""
    found: dict[str, tuple[Comparison, ...]] = {}
    for model, rows in responses.items():
        met = matches(responses[bench.base], rows, contest.kind) if model != bench.base else []
        if met:
            mapped = compare(
                met, judge, contest.standard, k_principles=k_principles, seed=bench.seed, mapper=bench.mapper
            )
            bench.count(f"{contest.name}/{model}", mapped, sum(row.win is None for row in mapped.done))
            found[model] = mapped.done
            judged.comparisons += mapped.done
    judged.measurements += measure_win_rate(contest.name, found, contest.kind, bench.groups)


def _read(bench: _Bench, judged: _Judged, responses: Mapping[str, Sequence[Response]], judge: Judge) -> None:
    """Let the judge read every model's answers to red-team prompts."""
    found = {}
    for model, rows in responses.items():
        mapped = read(rows, model, judge, mapper=bench.mapper)
        bench.count(f"judge reading/{model}", mapped, sum(row.complied is None for row in mapped.done))
        found[model] = mapped.done
        judged.readings += mapped.done
    judged.measurements += measure_readings(found, base=bench.base, groups=bench.groups)
