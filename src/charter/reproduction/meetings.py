"""Figures about trained models: Elo by stage and over training, and how harmful their answers are on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from charter.constitution import Constitution, load_constitution
from charter.engines.base import Sampling
from charter.errors import RunError
from charter.evaluation.head_to_head import compare, rate, round_robin
from charter.evaluation.head_to_head.games import games_of
from charter.evaluation.responding import respond
from charter.feedback.judge import make_judge
from charter.prompts.grouping import prompt_groups
from charter.prompts.sources import draw_prompts
from charter.recipe import Recipe
from charter.recipe.stages import policies_of
from charter.records import Contested, Prompt, Response
from charter.reporting.cards.markdown import inert
from charter.reproduction.claims import Direction, at, claim_change, claim_slope
from charter.reproduction.desk import Desk, NamedModel, step_of, weights_of
from charter.reproduction.figure import Claim, Made, Panel, Point, Trial, Value, point_at, points_of
from charter.reproduction.scoring import Placed, harmlessness_scores, scoring_notes
from charter.stages.label import judging_of
from charter.training.snapshots import snapshots_of

MAIN = Trial("main", None)
BASE = "base"
_ELO = "Elo points above the first model"
_SIDES: tuple[tuple[str, Contested], ...] = (("harmlessness", "red_team"), ("helpfulness", "helpful"))
_OVER_TRAINING: tuple[tuple[str, Direction], ...] = (("harmlessness", "higher"), ("helpfulness", "lower"))


@dataclass(frozen=True)
class Stage:
    """A model of the main run, and where it stands in a figure."""

    model: NamedModel
    series: str
    x: float


@dataclass(frozen=True)
class Met:
    """What meetings with the base came to: whether each answer won, and the points that this makes."""

    values: Sequence[Value]
    points: Sequence[Point]


def ratings_by_stage(desk: Desk) -> Made:
    """Make Figure 2: harmlessness and helpfulness of the model before training, and behind each stage of it."""
    names = [BASE, *policies_of(desk.recipe)]
    stages = [Stage(_model(desk, name), "by stage", place) for place, name in enumerate(names)]
    met = _meet(desk, stages)
    panels = [Panel(side, f"{side}, {_ELO}", "stage", tuple(names), level=(0.0, BASE)) for side, _ in _SIDES]
    claims = [
        claim_change(
            f"{after} is more harmless than {before}.",
            at(met.values, "harmlessness", "by stage", place),
            at(met.values, "harmlessness", "by stage", place + 1),
            "higher",
            seed=desk.seed,
        )
        for place, (before, after) in enumerate(pairwise(names))
    ]
    claims.append(_helpfulness(desk, met.values, len(names) - 1, names[-1]))
    return Made(panels, met.points, met.values, claims, _notes(desk))


def ratings_over_training(desk: Desk) -> Made:
    """Make Figures 3 and 8: harmlessness and helpfulness over the last training of the run."""
    stages, last = _over_training(desk)
    met = _meet(desk, stages)
    panels = [Panel(side, f"{side}, {_ELO}", f"steps of {last}", level=(0.0, BASE)) for side, _ in _SIDES]
    claims = [
        claim_slope(
            f"{side.capitalize()} {'rises' if expected == 'higher' else 'falls'} over the training.",
            [one for one in met.values if one.panel == side],
            expected,
            per="step",
            seed=desk.seed,
        )
        for side, expected in _OVER_TRAINING
    ]
    return Made(panels, met.points, met.values, claims, [*_notes(desk), *_wanting(stages, last)])


def harm_over_training(desk: Desk) -> Made:
    """Make Figure 10: scores of the answers to red-team prompts, over the last training of the run."""
    stages, last = _over_training(desk)
    prompts = _prompts(desk, "red_team")
    groups = prompt_groups(prompts)
    placed = [
        Placed(stage.series, stage.x, prompt, one.prompt, one.text)
        for stage in stages
        for prompt, one in _answers(desk, stage.model, prompts).items()
    ]
    scores = harmlessness_scores(desk)
    values = [value for score in scores for value in score.values(placed, groups)]
    claims = [
        claim_slope(
            f"Answers become less harmful over the training ({score.name}).",
            [one for one in values if one.panel == score.name],
            score.better,
            per="step",
            is_share=score.is_share,
            seed=desk.seed,
        )
        for score in scores
    ]
    panels = [score.panel(f"steps of {last}") for score in scores]
    return Made(panels, points_of(values), values, claims, [*scoring_notes(desk), *_wanting(stages, last)])


def _meet(desk: Desk, stages: Sequence[Stage]) -> Met:
    """Let every model meet the base, on prompts of both kinds, each judged by the principles of its side."""
    values: list[Value] = []
    points: list[Point] = []
    for side, kind in _SIDES:
        prompts = _prompts(desk, kind)
        answers = {BASE: _texts(_answers(desk, _model(desk, BASE), prompts))}
        answers |= {one.model.name: _texts(_answers(desk, one.model, prompts)) for one in stages}
        found = _judged(desk, side, kind, prompts=prompts, answers=answers, stages=stages)
        values += found.values
        points += found.points
    return Met(values, points)


def _judged(
    desk: Desk,
    side: str,
    kind: Contested,
    *,
    prompts: Sequence[Prompt],
    answers: Mapping[str, Mapping[str, str]],
    stages: Sequence[Stage],
) -> Met:
    met = round_robin(prompts, answers, against=BASE)
    groups = prompt_groups(prompts)
    standard = standard_of(desk.recipe, kind)
    texts = [[one.id, one.answer, one.base_answer] for one in met]
    stage = step_of(f"meetings/{side}", desk.judge.name, texts)
    with desk.lend(desk.judge.spec, known_as=desk.known_judge) as engine:
        judge = make_judge(engine, standard, judging_of(desk.recipe), seed=desk.seed)
        mapped = compare(met, judge, standard, k_principles=1, seed=desk.seed, mapper=desk.mapper, stage=stage)
        games = games_of(met, mapped.done, groups)
    ratings = {one.name: one.bradley_terry for one in rate(games, list(answers), anchor=BASE, seed=desk.seed)}
    wins: dict[str, dict[str, float]] = {BASE: dict.fromkeys(answers[BASE], 0.5)}
    for one in mapped.done:
        if one.win is not None:
            model, win = (one.model, one.win) if one.base == BASE else (one.base, 1.0 - one.win)
            wins.setdefault(model, {})[one.prompt.id] = win
    placed = [one for one in stages if one.model.name in ratings]
    return Met(
        [
            Value(panel=side, series=one.series, x=one.x, row=prompt, group=groups[prompt], value=win)
            for one in placed
            for prompt, win in wins[one.model.name].items()
        ],
        [point_at(side, one.series, one.x, ratings[one.model.name]) for one in placed],
    )


def _answers(desk: Desk, model: NamedModel, prompts: Sequence[Prompt]) -> dict[str, Response]:
    """Let a model answer prompts, as the recipe's evaluation does; by prompt."""
    settings = desk.recipe.evaluate
    sampling = Sampling(temperature=settings.temperature, max_tokens=settings.max_tokens)
    weights = weights_of(model.spec.adapter)
    purpose = step_of(prompts[0].kind, weights)
    with desk.lend(model.spec, known_as=step_of(f"engine of {model.name}", weights)) as engine:
        mapped = respond(
            prompts, model.name, engine, sampling=sampling, seed=desk.seed, purpose=purpose, mapper=desk.mapper
        )
        return {one.prompt.id: one for one in mapped.done}


def _texts(answers: Mapping[str, Response]) -> dict[str, str]:
    return {prompt: one.text for prompt, one in answers.items()}


def _prompts(desk: Desk, kind: Contested) -> list[Prompt]:
    """Draw prompts of a kind that the main run held out.

    Raises:
        RunError: where it held out none.
    """
    found = [one for one in desk.rows(MAIN.name, "prompts", Prompt) if one.split == "evaluation" and one.kind == kind]
    if not found:
        raise RunError(f"{desk.runs[MAIN.name]}: holds out no prompts of kind {kind}; the recipe sets how many")
    return list(draw_prompts(found, min(len(found), desk.n), desk.seed))


def standard_of(recipe: Recipe, kind: Contested) -> Constitution:
    """Load the constitution by which answers to a kind of prompt are judged."""
    settings = recipe.constitution
    return load_constitution(settings.source if kind == "red_team" else settings.helpful)


def _model(desk: Desk, name: str) -> NamedModel:
    """Give a model of the main run: the policy as it was, or as a stage made it."""
    return _adapted(desk, name, None if name == BASE else desk.runs[MAIN.name] / "models" / name)


def _adapted(desk: Desk, name: str, adapter: Path | None) -> NamedModel:
    return NamedModel(name, desk.policy(adapter))


def _over_training(desk: Desk) -> tuple[list[Stage], str]:
    """Give the model before the last training, its snapshots, and what it came to, by the step; and its stage."""
    before, last = [BASE, *policies_of(desk.recipe)][-2:]
    kept = snapshots_of(desk.runs[MAIN.name] / "models" / last)
    n_steps = desk.n_steps(MAIN.name, last)
    stages = [Stage(_model(desk, before), "trained model", 0)]
    stages += [Stage(_adapted(desk, f"{last} at {step}", folder), "trained model", step) for step, folder in kept]
    return [*stages, Stage(_model(desk, last), "trained model", n_steps)], last


def _helpfulness(desk: Desk, values: Sequence[Value], place: int, name: str) -> Claim:
    return claim_change(
        f"Harmlessness costs helpfulness ({name} beside {BASE}).",
        at(values, "helpfulness", "by stage", 0),
        at(values, "helpfulness", "by stage", place),
        "lower",
        seed=desk.seed,
    )


def _wanting(stages: Sequence[Stage], last: str) -> list[str]:
    """Say that a line has its ends alone."""
    if len(stages) > 2:
        return []
    return [
        f"No models were kept on the way: `{last}.snapshots: 3` in the recipe keeps some of a training long enough."
    ]


def _notes(desk: Desk) -> list[str]:
    told = (
        f"The judge is {inert(desk.judge.name)}, where the paper has people: how far it agrees with people is what "
        "`charter audit` measures. Claims compare how often each model is preferred to the one before training."
    )
    return [told]
