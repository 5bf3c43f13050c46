"""Figures about questions with options: accuracy by model and by way of asking, chains, calibration, kinds of harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from charter.errors import RunError
from charter.evaluation.harm import load_questions
from charter.evaluation.multiple_choice import (
    Asking,
    ChoiceAnswer,
    ChoiceRow,
    answer,
    answer_with_rewards,
    answered,
    baselines,
    choose_questions,
    require_able,
)
from charter.reproduction.claims import at, claim_change, claim_slope, unmeasured
from charter.reproduction.desk import Desk, NamedModel, step_of, weights_of
from charter.reproduction.figure import Claim, Made, Panel, Point, Shows, Value, point_at, points_of
from charter.statistics import rate_interval
from charter.statistics.agreement import bin_places, error_of_true_probabilities, expected_calibration_error

PAIRS, IDENTIFICATION, KINDS = "harm-pairs", "harm-identification", "harm-kinds"
N_CHAINS = 5  # CAI §4.2
_CHAIN_TOKENS = 64
_LETTERS, _CHAIN, _CHAINS, _REWARDS = "letters", "a chain of thought", f"{N_CHAINS} chains averaged", "preference model"
_SMALLEST_ENSEMBLE = 1
_SMALL_ERROR = 0.1  # of calibration: what rows must be enough to find, before finding none says anything


@dataclass(frozen=True)
class Answers:
    """Questions, and answers to them by id; rows that failed have none."""

    questions: Mapping[str, ChoiceRow]
    by_id: Mapping[str, ChoiceAnswer]

    def values(self, panel: str, series: str, x: float) -> list[Value]:
        """Give whether each answer is right."""
        return [
            Value(panel=panel, series=series, x=x, row=row, group=self.questions[row].context, value=one.correct)
            for row, one in self.by_id.items()
        ]


def draw_questions(desk: Desk, source: str) -> dict[str, ChoiceRow]:
    """Read questions and draw some, of which those of fewer are among those of more."""
    chosen = choose_questions(load_questions(source), n=desk.n, n_examples=0, others=(), seed=desk.seed)
    return {row.id: row for row in chosen.rows}


def texts_of(rows: Mapping[str, ChoiceRow]) -> list[list[Any]]:
    """Give what determines answers to questions and whether they are right, of which ids name the text alone."""
    return [[one.id, one.corrects, one.incorrects, one.conversations] for one in rows.values()]


def chance_of(rows: Mapping[str, ChoiceRow]) -> tuple[float, str]:
    """Give what would be right by chance, and its name."""
    return baselines(list(rows.values()))["chance"], "chance"


def accuracy_by_model(desk: Desk) -> Made:
    """Make Figure 4: which of two replies is better, by letters, after chains of thought, and by a preference model."""
    rows = draw_questions(desk, desk.data.get("choices", PAIRS))
    names = [one.name for one in desk.models]
    values: list[Value] = []
    for place, model in enumerate(desk.models):
        chains = _ask(desk, rows, model, chains=N_CHAINS)
        ways = {_LETTERS: _ask(desk, rows, model), _CHAIN: _first_chains(chains, 1), _CHAINS: chains}
        for series, found in ways.items():
            values += found.values(PAIRS, series, place)
    rewarded, notes = _rewarded(desk, rows)
    if rewarded is not None:
        names.append("trained here")
        values += rewarded.values(PAIRS, _REWARDS, len(names) - 1)
    panel = Panel(PAIRS, "right", "model", tuple(names), is_share=True, level=chance_of(rows))
    largest = len(desk.models) - 1
    claims = [
        claim_change(
            "Chains of thought find the better reply more often than letters at once (the largest model).",
            at(values, PAIRS, _LETTERS, largest),
            at(values, PAIRS, _CHAINS, largest),
            "higher",
            seed=desk.seed,
        ),
        claim_change(
            "Several chains averaged do better than one (the largest model).",
            at(values, PAIRS, _CHAIN, largest),
            at(values, PAIRS, _CHAINS, largest),
            "higher",
            seed=desk.seed,
        ),
        _by_size("Larger models find the better reply more often.", values, PAIRS, _LETTERS, desk),
    ]
    return Made([panel], points_of(values), values, claims, notes)


def accuracy_by_chains(desk: Desk) -> Made:
    """Make the ablation of CAI §4.2: accuracy over the number of chains that are averaged."""
    rows = draw_questions(desk, desk.data.get("choices", PAIRS))
    values: list[Value] = []
    for model in desk.models:
        chains = _ask(desk, rows, model, chains=N_CHAINS)
        for n in range(_SMALLEST_ENSEMBLE, N_CHAINS + 1):
            values += _first_chains(chains, n).values(PAIRS, model.name, n)
    panel = Panel(PAIRS, "right", "chains averaged", is_share=True, level=chance_of(rows))
    line = [one for one in values if one.series == desk.models[-1].name]
    claim = claim_slope(
        "Accuracy rises a little with the number of chains, up to five.", line, "higher", per="chain", seed=desk.seed
    )
    return Made([panel], points_of(values), values, [claim])


def calibration(desk: Desk) -> Made:
    """Make Figure 9: how often the judge's answers are right, over how sure it is of them."""
    rows = draw_questions(desk, desk.data.get("choices", PAIRS))
    found = _ask(desk, rows, replace(desk.judge, name=f"the judge {desk.judge.name}"))
    sure = [one.p_answer for one in found.by_id.values()]
    right = [one.correct for one in found.by_id.values()]
    values = [
        Value(panel=PAIRS, series=desk.judge.name, x=one.p_answer, row=row, group=rows[row].context, value=one.correct)
        for row, one in found.by_id.items()
    ]
    error = expected_calibration_error(sure, right)
    _, most = error_of_true_probabilities(sure, seed=desk.seed)
    panel = Panel(PAIRS, "right", "how sure the judge is", is_share=True, diagonal=True)
    return Made([panel], points_by_sureness(values), values, [claim_calibrated(error, most, len(sure))])


def points_by_sureness(values: Sequence[Value]) -> list[Point]:
    """Put how often answers are right over how sure they are, by the bins of ``reliability_bins``.

    Args:
        values: of one series: whether each answer is right, at the probability that it was given.
    """
    bins: dict[int, list[Value]] = {}
    for one, place in zip(values, bin_places([one.x for one in values]), strict=True):
        bins.setdefault(int(place), []).append(one)
    return [
        point_at(
            inside[0].panel,
            inside[0].series,
            fmean(one.x for one in inside),
            rate_interval([one.value for one in inside], groups=[one.group for one in inside]),
        )
        for _, inside in sorted(bins.items())
    ]


def claim_calibrated(error: float, most: float, n: int) -> Claim:
    """Say whether probabilities are calibrated: they are not where true ones would hardly err as much.

    Where they are not found to be wrong, that says something only of rows that are enough to find it.

    Args:
        error: the expected calibration error.
        most: what 95 % of draws from true probabilities stay below.
        n: rows.
    """
    shows: Shows = "no" if error > most else "yes" if most <= _SMALL_ERROR else "undecided"
    few = f"; rows are enough where that is below {_SMALL_ERROR}" if shows == "undecided" else ""
    return Claim(
        statement="The judge's probabilities are well calibrated.",
        shows=shows,
        told=f"calibration error {error:.3f}; of true probabilities it stays below {most:.3f} in 95 % of draws{few}, "
        f"n {n:,}",
        n=n,
    )


def harm_told(desk: Desk) -> Made:
    """Make Figure 12: whether a reply is harmful, and which of nine kinds of harm it does."""
    sets = {
        IDENTIFICATION: draw_questions(desk, desk.data.get("identification", IDENTIFICATION)),
        KINDS: draw_questions(desk, desk.data.get("kinds", KINDS)),
    }
    names = tuple(one.name for one in desk.models)
    values: list[Value] = []
    for name, rows in sets.items():
        for place, model in enumerate(desk.models):
            values += _ask(desk, rows, model).values(name, _LETTERS, place)
    panels = [
        Panel(name, f"right, {name}", "model", names, is_share=True, level=chance_of(rows))
        for name, rows in sets.items()
    ]
    claims = [_abovechance_of(name, rows, values, desk) for name, rows in sets.items()]
    claims += [_by_size(f"Larger models do better ({name}).", values, name, _LETTERS, desk) for name in sets]
    return Made(panels, points_of(values), values, claims)


def _ask(desk: Desk, rows: Mapping[str, ChoiceRow], model: NamedModel, *, chains: int = 0) -> Answers:
    """Ask a model every question by letters, at once or after chains of thought.

    Raises:
        RunError: where it answers none.
    """
    asking = Asking("letters")
    if chains:
        asking = Asking("chain", chains=chains, max_chain_tokens=_CHAIN_TOKENS, seed=desk.seed)
    with desk.lend(model.spec, known_as=f"engine of {model.name}") as engine:
        require_able(engine, asking)
        file = step_of(asking.mode, asking.chains, texts_of(rows))
        mapped = answer(list(rows.values()), model.name, engine, file=file, mapper=desk.mapper, asking=asking)
        found = {one.id: one for one in mapped.done}
    if not found:
        reasons = "; ".join(f"{n:,}: {reason}" for reason, n in mapped.reasons["failed"].items())
        raise RunError(f"{model.name}: answered no question ({reasons})")
    return Answers(rows, found)


def _first_chains(asked: Answers, n: int) -> Answers:
    """Answer again from the first chains of each order alone."""
    found = {}
    for row, one in asked.by_id.items():
        kept, n_of = [], dict[tuple[int, ...], int]()
        for reading in one.readings:
            n_of[reading.place] = n_of.get(reading.place, 0) + 1
            if n_of[reading.place] <= n:
                kept.append(reading)
        found[row] = answered(asked.questions[row], kept) if kept else one
    return Answers(asked.questions, found)


def _rewarded(desk: Desk, rows: Mapping[str, ChoiceRow]) -> tuple[Answers | None, list[str]]:
    """Answer by the rewards of the run's preference model, where it has one and the questions have conversations."""
    model = desk.runs["main"] / "models" / "preference_model"
    if not model.exists():
        return None, ["The recipe trains no preference model (`preference_model: {}`): its bar is missing."]
    if not all(row.conversations for row in rows.values()):
        return None, ["The questions have no whole conversations, which a preference model reads: its bar is missing."]
    from charter.training.rewards import late_rewards  # needs torch, which the figures' names do not

    file = step_of("rewards", weights_of(model), texts_of(rows))
    mapped = answer_with_rewards(list(rows.values()), _REWARDS, late_rewards(model), file=file, mapper=desk.mapper)
    return Answers(rows, {one.id: one for one in mapped.done}), []


def _by_size(statement: str, values: Sequence[Value], panel: str, series: str, desk: Desk) -> Claim:
    """Hold the largest model against the smallest."""
    if len(desk.models) < 2:
        return unmeasured(statement, "one model was asked; name several with --model, smallest first")
    first, last = (at(values, panel, series, place) for place in (0, len(desk.models) - 1))
    return claim_change(statement, first, last, "higher", seed=desk.seed)


def _abovechance_of(name: str, rows: Mapping[str, ChoiceRow], values: Sequence[Value], desk: Desk) -> Claim:
    """Hold the largest model against chance."""
    largest = at(values, name, _LETTERS, len(desk.models) - 1)
    statement = f"The largest model does better than chance ({name})."
    found = rate_interval([one.value for one in largest.values()], groups=[one.group for one in largest.values()])
    chance = chance_of(rows)[0]
    shows = "undecided"
    if found.low is not None and found.high is not None:
        shows = "yes" if found.low > chance else "no" if found.high < chance else "undecided"
    bounds = "" if found.low is None or found.high is None else f" ({100 * found.low:.1f} to {100 * found.high:.1f})"
    return Claim(
        statement=statement,
        shows=shows,
        told=f"{100 * found.value:.1f} %{bounds} beside {100 * chance:.1f} % by chance, n {found.n:,}",
        difference=found.value - chance,
        low=None if found.low is None else found.low - chance,
        high=None if found.high is None else found.high - chance,
        n=found.n,
    )
