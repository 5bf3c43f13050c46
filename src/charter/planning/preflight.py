"""What can be known before a run: whether every input is sound, and what the run would do. No weight is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from charter.constitution import Constitution, check_constitution, load_constitution
from charter.constitution.model import Use
from charter.engines.spending import Price
from charter.errors import UserError
from charter.evaluation.multiple_choice import leave_out_seen, load_choices, orders_of, seen_texts
from charter.planning.brought import look_at_brought
from charter.planning.calibrated import look_at_calibrators
from charter.planning.findings import Preflight
from charter.planning.hardware import NOTHING
from charter.planning.launching import look_at_launch, spreads_weights
from charter.planning.likeness import find_likeness
from charter.planning.models import ALWAYS, KnownModel, Look, look_at, look_without_asking
from charter.planning.paying import look_at_budget, look_at_prices, money_of
from charter.planning.places import confusing_names, is_remote, path_hint
from charter.planning.plan import Plan, make_plan
from charter.planning.roles import look_at_roles
from charter.planning.run_place import check_run_place
from charter.planning.shortages import find_shortages
from charter.planning.sizing import CountTokens, estimate_tokens
from charter.planning.stage_plan import Brought
from charter.planning.unknown import is_unknown, unknown_prompt
from charter.planning.writing import look_at_writing
from charter.prompts import LoadedPrompts, load_prompts
from charter.prompts.ids import settle_ids
from charter.prompts.selection import Selection, select_prompts
from charter.prompts.twins import check_twins, describe_unlinked
from charter.recipe import Recipe
from charter.recipe.contradictions import doubts
from charter.recipe.settings import PromptSource
from charter.recipe.stages import STAGE_NAMES, stages_of, without_iterations
from charter.records import GENERATED, PromptKind
from charter.runs.roles import role_specs

_UNKNOWN_PROMPTS = 1_000  # of a dataset that is not here, where the recipe sets no number


@dataclass(frozen=True)
class _Inputs:
    """What a run reads, as far as it could be read."""

    constitution: Constitution | None
    helpful: Constitution | None
    selection: Selection | None
    brought: Brought
    n_choices: int
    models: Mapping[str, KnownModel]
    prices: Mapping[str, Price]


def check_recipe(recipe: Recipe, folder: Path) -> Preflight:
    """Check every input of a run, and plan it.

    Args:
        recipe: what is run.
        folder: where it would run; its disk must have room.
    """
    report = Preflight()
    given = _inspect(report, recipe, stages_of(recipe), look_at)
    look_at_launch(report, recipe, stages_of(recipe))
    for where, problem in doubts(recipe):
        report.add("warning", ".".join(where), problem)
    report.plan = None if report.errors else _plan(recipe, given)
    if report.plan is not None:
        look_at_budget(report, recipe, report.plan.stages, report.plan.total_money or NOTHING)
    check_run_place(report, recipe, folder)  # last: whoever plans a variant sees its plan beside the folder's error
    return report


class Planner:
    """Plans runs that may take place elsewhere: neither this machine nor the network is asked for models.

    Args:
        recipe: what is run.
        by_characters: estimate tokens, even where the policy's tokenizer is here: another model takes its place.

    Attributes:
        n_prompts: red-team prompts that the recipe trains on.

    Raises:
        UserError: a line for each thing that is wrong with the recipe.
    """

    def __init__(self, recipe: Recipe, *, by_characters: bool = False) -> None:
        report = Preflight()
        self._count = estimate_tokens if by_characters else None
        self._recipe, self._given = recipe, _inspect(report, recipe, stages_of(recipe), look_without_asking)
        report.require_no_error()
        prompts = self._given.selection.prompts if self._given.selection else ()
        self.n_prompts = sum((prompt.split, prompt.kind) == ("train", "red_team") for prompt in prompts)

    def plan(self, n_prompts: float, *, spreads: bool | None = None) -> Plan:
        """Plan for so many red-team prompts to train on, and as many times more of all else that is trained on.

        What is held out stays as it is: it measures, and measures no better by growing along. ``spreads`` says whether
        processes share the weights that they train; None does as the recipe's launch.
        """
        plan = _plan(self._recipe, self._given, n_prompts / self.n_prompts, self._count, spreads)
        if plan is None:
            raise UserError(f"{self._recipe.name} cannot be planned; 'charter check' says why")
        return plan


def _plan(
    recipe: Recipe,
    given: _Inputs,
    scale: float = 1.0,
    count: CountTokens | None = None,
    spreads: bool | None = None,
) -> Plan | None:
    """Plan a run from its inputs; None where some could not be read."""
    if given.constitution is None or given.helpful is None or given.selection is None:
        return None
    plan = make_plan(
        recipe,
        given.selection.prompts,
        given.constitution,
        given.helpful,
        {role: model.rates for role, model in given.models.items()},
        brought=given.brought,
        n_choices=given.n_choices,
        count=count or given.models["policy"].count_tokens,
        scale=scale,
        spreads=spreads_weights(recipe) if spreads is None else spreads,
    )
    specs = role_specs(recipe)
    if not any(spec.name in given.prices for spec in specs.values() if spec.engine == "http"):
        return plan
    return replace(plan, money={stage.stage: money_of(stage, specs, given.prices) for stage in plan.stages})


def check_inputs(recipe: Recipe, stages: Sequence[str] = STAGE_NAMES) -> None:
    """Check everything that a run would read, some of it only hours in, so that it is refused at once and not then.

    Args:
        recipe: what is run.
        stages: those that will be done, whose needs of the models are looked at.

    Raises:
        UserError: a line for each input that is not sound.
    """
    report, stages = Preflight(), without_iterations(stages)
    _inspect(report, recipe, stages, look_at)
    look_at_launch(report, recipe, stages)
    report.require_no_error()


def _inspect(report: Preflight, recipe: Recipe, stages: Sequence[str], look: Look) -> _Inputs:
    for about, problem in confusing_names(recipe):
        report.add("error", about, problem)
    revises: tuple[Use, ...] = ("revise",) if "revise" in stages and recipe.revise.n_samples else ()
    constitution = _constitution(report, "constitution", recipe.constitution.source, (*revises, "judge"))
    helpful = _constitution(report, "constitution.helpful", recipe.constitution.helpful, ("judge",))
    selection = _prompts(report, recipe, (constitution, helpful))
    n_choices = _count_choices(report, recipe, (constitution, helpful), selection)
    brought = look_at_brought(report, recipe, selection.prompts) if selection else Brought()
    models = look_at_roles(report, recipe, stages, look)
    prices = look_at_prices(report, recipe)
    if "label" in stages or "evaluate" in stages:
        look_at_calibrators(report, recipe)
    if constitution is not None:
        writing = partial(look_at_writing, recipe, constitution, models["red_team"].capabilities or ALWAYS)
        brought = replace(brought, written=report.tried("prompts.generate", writing) or ())
    return _Inputs(constitution, helpful, selection, brought, n_choices, models, prices)


def _constitution(report: Preflight, about: str, source: str, uses: Sequence[Use]) -> Constitution | None:
    """Read a constitution and check its wording, and that it has principles for what the run uses it for."""
    constitution = report.tried(about, load_constitution, source, hint=path_hint(source))
    if constitution is not None:
        for use in uses:
            if not constitution.used_for(use):
                problem = f'none of its principles is used to {use}; add "{use}" to the uses of those that are to be'
                report.add("error", about, problem)
        for finding in check_constitution(constitution, ignore=["unused"]):
            if about == "constitution.helpful" and "few_shots.revise" in finding.message:
                continue  # it judges, and revises nothing
            place = f"principle {finding.principle}: " if finding.principle else ""
            report.add(finding.severity, about, f"{place}{finding.message}; {finding.remedy} [{finding.rule}]")
    return constitution


def _prompts(
    report: Preflight, recipe: Recipe, constitutions: tuple[Constitution | None, Constitution | None]
) -> Selection | None:
    """Load and select the run's prompts; datasets that are not here are stood in for."""
    sources = recipe.prompts.sources()
    loaded = {kind: _load(report, kind, source, recipe) for kind, source in sources.items()}
    found = settle_ids({kind: one for kind, one in loaded.items() if one is not None})
    _check_twins(report, {kind: one for kind, one in found.items() if not is_remote(sources[kind].source)})
    first, second = constitutions
    if first is None or second is None or len(found) < len(loaded):
        return None
    prompts = {kind: one.prompts for kind, one in found.items()}
    numbers = recipe.prompts.numbers()
    is_whole = not any(map(is_unknown, (one for several in prompts.values() for one in several[:1])))
    if not is_whole:  # what stands in for prompts is all alike
        numbers["near_duplicates"] = None
    select = partial(select_prompts, prompts, (first, second), **numbers)
    selection = report.tried("prompts", select)
    if selection is not None:
        likeness = find_likeness(recipe, selection) if is_whole else ()
        for severity, about, problem in (*find_shortages(recipe, selection), *likeness):
            report.add(severity, about, problem)
    return selection


def _check_twins(report: Preflight, loaded: Mapping[PromptKind, LoadedPrompts]) -> None:
    """Look whether twins name their red-team prompts, of sources that are here."""
    about = "prompts.benign_twin"
    report.tried(about, check_twins, loaded)
    unlinked = describe_unlinked(loaded["benign_twin"]) if "benign_twin" in loaded else ""
    if unlinked:
        report.add("warning", about, unlinked)


def _load(report: Preflight, kind: PromptKind, source: PromptSource, recipe: Recipe) -> LoadedPrompts | None:
    about = f"prompts.{kind}"
    if source.source == GENERATED:
        return _to_be_written(report, kind, recipe)
    if not is_remote(source.source):
        load = partial(load_prompts, kind=kind, **source.model_dump())
        loaded = report.tried(about, load, hint=path_hint(source.source))
        for reason, n in loaded.rejected.items() if loaded else ():
            report.add("note", about, f"{source.source}: {n} rows are left out: {reason}")
        for what, n in loaded.mended.items() if loaded else ():
            report.add("note", about, f"{source.source}: of {n} rows: {what}")
        return loaded
    settings = recipe.prompts
    asked = (settings.n_train_helpful, settings.n_evaluation_helpful)
    n_train, n_held_out = asked if kind == "helpful" else (settings.n_train, settings.n_evaluation)
    n = source.limit or (n_train or _UNKNOWN_PROMPTS) + n_held_out
    report.add("note", about, f"{source.source} is fetched when the run starts; planned as {n} prompts of 50 tokens")
    return LoadedPrompts(tuple(unknown_prompt(kind, number) for number in range(n)), {}, source.source)


def _to_be_written(report: Preflight, kind: PromptKind, recipe: Recipe) -> LoadedPrompts:
    """Stand in for prompts that the run will write: as many as are asked for, each with its twin."""
    settings = recipe.prompts.generate
    constitution = report.tried("constitution", load_constitution, recipe.constitution.source)
    n_principles = len(constitution.principles) if constitution else 0
    n = settings.n_helpful if kind == "helpful" else settings.n_per_principle * n_principles
    report.add("note", f"prompts.{kind}", f"{n} prompts are written when the run starts, less those that come twice")
    prompts = [unknown_prompt(kind, number) for number in range(n)]
    if kind == "benign_twin":
        imitated = [unknown_prompt("red_team", number).id for number in range(n)]
        prompts = [prompt.model_copy(update={"twin_of": imitated[number]}) for number, prompt in enumerate(prompts)]
    return LoadedPrompts(tuple(prompts), {}, GENERATED)


def _count_choices(
    report: Preflight,
    recipe: Recipe,
    constitutions: tuple[Constitution | None, Constitution | None],
    selection: Selection | None,
) -> int:
    """Count the readings of multiple-choice questions, each in its orders, of those that a run has not shown before."""
    train = [prompt for prompt in selection.prompts if prompt.split == "train"] if selection else []
    seen = seen_texts([one for one in constitutions if one is not None], train)
    n_choices = 0
    for file in recipe.evaluate.multiple_choice:
        choices = report.tried("evaluate.multiple_choice", load_choices, file, hint=path_hint(file))
        kept, left_out = leave_out_seen(choices or (), seen, recipe.prompts.near_duplicates)
        for reason, n in left_out.items():
            report.add("note", "evaluate.multiple_choice", f"{file}: {n} rows are left out: {reason}")
        n_choices += sum(len(orders_of(row)) for row in kept)
    return n_choices
