"""The evaluation of a run: every measurement, on held-out prompts, for the base and every model trained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from charter.constitution.model import Constitution
from charter.engines.base import Engine, Sampling
from charter.evaluation.adherence import ProbedModel, Probes, measure_probes, put_probes
from charter.evaluation.behaviour import measure_behaviour
from charter.evaluation.bench import Bench
from charter.evaluation.examination import (
    Examined,
    Tasks,
    examine,
    load_unseen,
    measure_choices,
    measure_likelihood,
)
from charter.evaluation.judged import Contest, Judged, Questions, ask_judge
from charter.evaluation.likelihood import preference_rows, reference_rows
from charter.evaluation.multiple_choice import seen_texts
from charter.feedback.judge import Judging, make_judge
from charter.prompts.grouping import prompt_groups
from charter.records import Adherence, Comparison, Contested, Measurement, Preference, Probed, Prompt, Reading, Response
from charter.rows import RowMapper, map_rows

#: An engine, or what opens one for as long as it is needed and closes it then.
EngineSource = Engine | Callable[[], AbstractContextManager[Engine]]


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
    probed: tuple[Probed, ...]
    adherence: tuple[Adherence, ...]
    n_in: int
    n_done: int
    filtered: dict[str, int]
    failed: dict[str, int]


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
    near_duplicates: float | None = None,
    probes: Sequence[Probes] = (),
    others: Mapping[str, EngineSource] | None = None,
    judge_adherence: bool = False,
    harm: bool = True,
    temperature: float = 0.7,
    max_tokens: int = 128,
    head_to_head: Sequence[Contested] = ("red_team", "helpful"),
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
        near_duplicates: how much a question and a text that was shown must resemble each other for it to be filtered;
            None goes by texts that differ in writing alone.
        probes: of each constitution that the models' adherence to is measured.
        others: further models by name, which are put to the probes alone.
        judge_adherence: whether the judge says of every model's answers to the probes if they keep to the principle.
        harm: whether the red-team prompts ask for harm, so that compliance, objection and evasion are counted.
        temperature: of the answers.
        max_tokens: at most, per answer.
        head_to_head: kinds of prompts on which the judge compares the models with the base.
        judge_reading: whether the judge says of every answer to a red-team prompt if it complied.
        k_principles: drawn per comparison.
        judging: how the judge is asked; a reading has no worked examples.
        seed: of the run.
        mapper: what maps the row functions.
    """
    bench = Bench(next(iter(models)), seed, mapper, prompt_groups(prompts))
    shown = seen_texts((constitution, helpful or constitution), trained_on)
    tasks = Tasks(
        prompts,
        Sampling(temperature=temperature, max_tokens=max_tokens),
        reference_rows(prompts),
        preference_rows(preferences),
        load_unseen(bench, multiple_choice, shown, near_duplicates),
    )
    answering = tasks.sampling if judge_adherence else None
    examined: dict[str, Examined] = {}
    probed: dict[str, ProbedModel] = {}
    for model, source in {**models, **(others or {})}.items():
        with _opened(source) as engine:
            if model in models:
                examined[model] = examine(bench, model, engine, tasks, examined.get(bench.base))
            probed[model] = put_probes(bench, probes, model, engine, answering=answering)
    contests = (
        Contest("win_rate_harmless", "red_team", constitution),
        Contest("win_rate_helpful", "helpful", helpful or constitution),
    )
    questions = Questions(
        tuple(contest for contest in contests if contest.kind in head_to_head),
        {model: one.responses for model, one in examined.items()},
        [
            (one.constitution, {model: made.responses[one.name] for model, made in probed.items()})
            for one in probes
            if judge_adherence
        ],
        k_principles=k_principles,
        reads_answers=judge_reading,
    )
    judged = Judged()
    if judge is not None and questions.any:
        with _opened(judge) as engine:
            judged = ask_judge(bench, questions, partial(make_judge, engine, judging=judging or Judging(), seed=seed))
    return Evaluation(
        (
            *measure_behaviour(questions.responses, base=bench.base, groups=bench.groups, harm=harm),
            *measure_likelihood(bench, examined, preferences),
            *(figure for one in probes for figure in measure_probes(one, probed, base=bench.base)),
            *judged.measurements,
            *measure_choices(bench, tasks, examined),
        ),
        tuple(response for rows in questions.responses.values() for response in rows),
        tuple(judged.comparisons),
        tuple(judged.readings),
        tuple(row for made in probed.values() for rows in made.probed.values() for row in rows),
        tuple(judged.adherence),
        bench.n_in,
        bench.n_done,
        dict(bench.filtered),
        dict(bench.failed),
    )


@contextlib.contextmanager
def _opened(source: EngineSource) -> Iterator[Engine]:
    """Open an engine where it has to be opened; one that was given as it is stays open."""
    if callable(source):
        with source() as engine:
            yield engine
    else:
        yield source
