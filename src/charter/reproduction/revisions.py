"""Figures about revisions: scores over the rounds, over the number of principles, and with and without critiques."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from charter.constitution import load_constitution
from charter.prompts.grouping import prompt_groups
from charter.records import Trace
from charter.reproduction.claims import at, claim_change, claim_slope, unmeasured
from charter.reproduction.desk import Desk
from charter.reproduction.figure import Claim, Made, Trial, Value, points_of
from charter.reproduction.scoring import Placed, Score, harmlessness_scores, scoring_notes
from charter.runs.inputs import CONSTITUTION_COPIES

N_ROUNDS = 4  # CAI §3.4
_NUMBERS = (1, 4, 16)  # of principles, of those that CAI Figure 6 has
_WITH, _WITHOUT = "critique, then revision", "revision at once"

_SETTINGS = (f"revise.rounds={N_ROUNDS}", "revise.check=false")
CRITICISED = Trial("revisions", "revise", _SETTINGS)
DIRECT = Trial("direct", "revise", (*_SETTINGS, "revise.critique=false"))
BY_PRINCIPLES = {
    n: Trial(f"principles-{n}", "revise", ("revise.rounds=2", "revise.check=false"), n_principles=n) for n in _NUMBERS
}


def scores_over_revisions(desk: Desk) -> Made:
    """Make Figure 5: how the scores of responses change over the revisions."""
    traces = desk.rows(CRITICISED.name, "traces", Trace)
    return _over_rounds(desk, {_WITH: traces}, _claims_of_rounds)


def critique_or_not(desk: Desk) -> Made:
    """Make Figure 7: the same scores of revisions behind critiques, and of those without."""
    runs = {_WITH: CRITICISED, _WITHOUT: DIRECT}
    traces = {series: desk.rows(trial.name, "traces", Trace) for series, trial in runs.items()}
    return _over_rounds(desk, traces, _claims_of_critiques)


def scores_by_principles(desk: Desk) -> Made:
    """Make Figure 6: the scores of last revisions, over how many principles were drawn from."""
    trials = {_n_principles(desk, trial): trial for trial in reversed(BY_PRINCIPLES.values())}
    traces = {n: desk.rows(trial.name, "traces", Trace) for n, trial in sorted(trials.items())}
    groups = prompt_groups(one.prompt for several in traces.values() for one in several)
    placed = [
        Placed("last revision", n, one.id, one.prompt, one.final) for n, several in traces.items() for one in several
    ]
    scores = harmlessness_scores(desk)
    values = [value for score in scores for value in score.values(placed, groups)]
    fewest, most = min(traces), max(traces)
    claims = [_claim_of_principles(score, values, (fewest, most), desk.seed) for score in scores]
    panels = [score.panel("principles") for score in scores]
    few = [f"The constitution has {most} principles for revisions: there is no more to draw from."]
    notes = few if most < max(_NUMBERS) else []
    return Made(panels, points_of(values), values, claims, [*scoring_notes(desk), *notes])


def _claim_of_principles(score: Score, values: Sequence[Value], ends: tuple[int, int], seed: int) -> Claim:
    fewest, most = ends
    statement = f"The number of principles does not change the score ({score.name}, {fewest} to {most})."
    if fewest == most:
        return unmeasured(statement, "the constitution has one principle for revisions")
    one, other = (at(values, score.name, "last revision", n) for n in ends)
    return claim_change(statement, one, other, "alike", is_share=score.is_share, margin=score.alike, seed=seed)


def _n_principles(desk: Desk, trial: Trial) -> int:
    """Say how many principles a run drew from: all that there are, where the trial wants more."""
    copy = desk.runs[trial.name] / CONSTITUTION_COPIES["constitution"]
    return len(load_constitution(str(copy)).used_for("revise"))


def _over_rounds(
    desk: Desk,
    traces: Mapping[str, Sequence[Trace]],
    claims_of: Callable[[Score, Sequence[Value], int], list[Claim]],
) -> Made:
    scores = harmlessness_scores(desk)
    groups = prompt_groups(one.prompt for several in traces.values() for one in several)
    placed = [one for series, several in traces.items() for trace in several for one in _placed(series, trace)]
    values = [value for score in scores for value in score.values(placed, groups)]
    claims = [claim for score in scores for claim in claims_of(score, values, desk.seed)]
    panels = [score.panel("revision") for score in scores]
    return Made(panels, points_of(values), values, claims, scoring_notes(desk))


def _placed(series: str, trace: Trace) -> list[Placed]:
    """Place the initial response at 0, and each revision at its number."""
    texts = [trace.initial, *(one.revision for one in trace.rounds)]
    return [Placed(series, number, trace.id, trace.prompt, text) for number, text in enumerate(texts)]


def _claims_of_rounds(score: Score, values: Sequence[Value], seed: int) -> list[Claim]:
    before, first, last = (at(values, score.name, _WITH, x) for x in (0, 1, N_ROUNDS))
    line = [one for one in values if one.panel == score.name]
    change = partial(claim_change, expected=score.better, is_share=score.is_share, seed=seed)
    slope = partial(claim_slope, expected=score.better, is_share=score.is_share, seed=seed)
    return [
        change(f"The first revision makes responses more harmless ({score.name}).", before, first),
        change(f"Later revisions go on to do so ({score.name}, 1 to {N_ROUNDS}).", first, last),
        slope(f"Harmlessness rises over the revisions ({score.name}).", line, per="revision"),
    ]


def _claims_of_critiques(score: Score, values: Sequence[Value], seed: int) -> list[Claim]:
    without, behind = (at(values, score.name, series, N_ROUNDS) for series in (_WITHOUT, _WITH))
    statement = f"Small models revise better behind a critique ({score.name}, revision {N_ROUNDS})."
    return [claim_change(statement, without, behind, score.better, is_share=score.is_share, seed=seed)]
