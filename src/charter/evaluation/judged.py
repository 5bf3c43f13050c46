"""Everything that a judge is asked about the models' answers: head to head with the base, and readings of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from charter.constitution.model import Constitution
from charter.evaluation.adherence import measure_adherence, read_adherence
from charter.evaluation.bench import Bench
from charter.evaluation.head_to_head import compare, matches, measure_win_rate
from charter.evaluation.judge_reading import ASKING, measure_readings, read
from charter.feedback.judge import Judge
from charter.feedback.questions import Asking
from charter.records import Adherence, Comparison, Contested, Measurement, Reading, Response


@dataclass(frozen=True)
class Contest:
    """A head to head: what its figure is called, on which prompts, and by whose principles."""

    name: str
    kind: Contested
    standard: Constitution


@dataclass
class Judged:
    """What the judge found so far."""

    measurements: list[Measurement] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    adherence: list[Adherence] = field(default_factory=list)


@dataclass(frozen=True)
class Questions:
    """Everything that the judge is to be asked, and what the models answered.

    ``responses`` are those to the held-out prompts, by model; ``to_probes`` those to the prompts of probes, by
    constitution and model.
    """

    contests: tuple[Contest, ...]
    responses: Mapping[str, Sequence[Response]]
    to_probes: Sequence[tuple[Constitution, Mapping[str, Sequence[Response]]]] = ()
    k_principles: int = 1
    reads_answers: bool = False

    @property
    def any(self) -> bool:
        """Whether there is anything to ask."""
        return bool(self.contests or self.reads_answers or self.to_probes)


def ask_judge(bench: Bench, questions: Questions, make: Callable[[Constitution | Asking], Judge]) -> Judged:
    """Ask everything; ``make`` makes the judge that has a constitution's examples, or none."""
    judged = Judged()
    for contest in questions.contests:
        judge = make(contest.standard)
        compare_with_base(bench, judged, questions.responses, contest, judge, k_principles=questions.k_principles)
    if questions.reads_answers:
        read_answers(bench, judged, questions.responses, make(ASKING))
    for constitution, responses in questions.to_probes:
        read_probe_answers(bench, judged, responses, constitution, make(ASKING))
    return judged


def compare_with_base(
    bench: Bench,
    judged: Judged,
    responses: Mapping[str, Sequence[Response]],
    contest: Contest,
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
            found[model] = bench.count(f"{contest.name}/{model}", mapped, lambda row: row.win is None)
            judged.comparisons += found[model]
    judged.measurements += measure_win_rate(contest.name, found, contest.kind, bench.groups)


def read_answers(bench: Bench, judged: Judged, responses: Mapping[str, Sequence[Response]], judge: Judge) -> None:
    """Let the judge read every model's answers to red-team prompts."""
    found = {}
    for model, rows in responses.items():
        mapped = read(rows, model, judge, mapper=bench.mapper)
        found[model] = bench.count(f"judge reading/{model}", mapped, lambda row: row.complied is None)
        judged.readings += found[model]
    judged.measurements += measure_readings(found, base=bench.base, groups=bench.groups)


def read_probe_answers(
    bench: Bench,
    judged: Judged,
    responses: Mapping[str, Sequence[Response]],
    constitution: Constitution,
    judge: Judge,
) -> None:
    """Let the judge read every model's answers to the probes of one constitution."""
    found = {}
    for model, rows in responses.items():
        mapped = read_adherence(rows, constitution, model, judge, mapper=bench.mapper)
        step = f"adherence to {constitution.name}/{model}"
        found[model] = bench.count(step, mapped, lambda row: row.p_keeps is None)
        judged.adherence += found[model]
    judged.measurements += measure_adherence(constitution.name, found, base=bench.base)
