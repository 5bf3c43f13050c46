"""A run planned for a machine and a model that need not be here: its plan, cost, volume, and what gives first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from charter.engines.prices import read_prices
from charter.engines.specs import ModelSpec
from charter.errors import UserError
from charter.planning.costing import cost_plan
from charter.planning.costs import Conditions, Cost, Played, Way
from charter.planning.hardware import Machine
from charter.planning.limits import Grown, Limit, find_limits
from charter.planning.memory import Mode, Sharding
from charter.planning.plan import Plan
from charter.planning.preflight import Planner
from charter.planning.shapes import Shape, shape_of
from charter.planning.volume import Volume, measure_volume
from charter.recipe import Recipe
from charter.runs.roles import role_specs

_MULTIPLES = {"k": 1e3, "M": 1e6}
_SHARDING: Mapping[str, Sharding] = {"fsdp2": "fsdp2", "zero3": "zero3"}  # by the name of a launch
_TIMES = 10.0  # as many prompts: how costs grow is read off a second plan


@dataclass(frozen=True)
class Place:
    """Where a run would take place: the machine, how is trained there, and a model's shape in the policy's place.

    What of the training is None is what the recipe says; ``way`` is how several devices share rows.
    """

    machine: Machine
    mode: Mode | None = None
    sharding: Sharding | None = None
    shape: Shape | None = None
    way: Way = "shards"

    def mode_for(self, recipe: Recipe) -> Mode:
        """Say what is trained: all weights or the recipe's adapter, behind weights of 4 bits where it says so."""
        if self.mode is not None or recipe.sft.lora is None:
            return self.mode or "full"
        return "qlora" if recipe.sft.lora.quantise else "lora"

    def sharding_for(self, recipe: Recipe) -> Sharding:
        """Say how weights are spread: as by the recipe's launch; those of 4 bits are not."""
        if self.sharding is not None or self.mode_for(recipe) == "qlora":
            return self.sharding or "none"
        return _SHARDING.get(recipe.training.launch or "", "none")


@dataclass(frozen=True)
class Estimate:
    """What a run with so many red-team prompts to train on comes to; without a machine there is no cost."""

    n_prompts: float
    plan: Plan
    volume: Volume
    models: dict[str, str]
    cost: Cost | None = None
    limits: tuple[Limit, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them."""
        return {
            "prompts": self.n_prompts,
            "models": self.models,
            "plan": self.plan.to_dict(),
            "volume": asdict(self.volume),
            "cost": self.cost.to_dict() if self.cost else None,
            "limits": [asdict(limit) for limit in self.limits],
        }


class Estimator:
    """Plans and costs one recipe in several sizes; neither a model nor a server is asked.

    Args:
        recipe: what is run.
        place: where it is run; None plans without costs.

    Raises:
        UserError: a line for each thing that is wrong with the recipe.
        ModelError: where a model's size is not known.
    """

    def __init__(self, recipe: Recipe, place: Place | None = None) -> None:
        is_other = place is not None and place.shape is not None
        self._planner, self._recipe, self._place = Planner(recipe, by_characters=is_other), recipe, place
        self._models = _play(recipe, place.shape) if place else {}
        self._prices = read_prices(recipe.budget.prices)

    def estimate(self, n_prompts: float | None = None) -> Estimate:
        """Estimate a run with so many red-team prompts to train on; None takes those that there are."""
        n = float(n_prompts or self._planner.n_prompts)
        plan = self._plan(n)
        volume, cost = measure_volume(plan), self._cost(plan)
        if cost is None:
            return Estimate(n, plan, volume, {})
        more = self._plan(_TIMES * n)
        here, there = Grown(n, plan, cost), Grown(_TIMES * n, more, self._cost(more) or cost)
        asked = {"policy"} | {role for stage in plan.stages for role in stage.demand.asked}
        names = {role: _name(played) for role, played in self._models.items() if role in asked}
        return Estimate(n, plan, volume, names, cost, tuple(find_limits(here, there)))

    def _plan(self, n_prompts: float) -> Plan:
        spreads = None if self._place is None else self._place.sharding_for(self._recipe) != "none"
        return self._planner.plan(n_prompts, spreads=spreads)

    def _cost(self, plan: Plan) -> Cost | None:
        if self._place is None:
            return None
        place = self._place
        mode, sharding = place.mode_for(self._recipe), place.sharding_for(self._recipe)
        conditions = Conditions(place.machine, self._models, mode, sharding, self._prices, place.way)
        return cost_plan(plan, self._recipe, conditions)


def read_number(text: str) -> float:
    """Read a number of prompts: ``5000``, ``100k`` or ``10M``.

    Raises:
        UserError: where it is none, or below 1.
    """
    times = _MULTIPLES.get(text[-1:].lower() if text[-1:] in "kK" else text[-1:].upper(), 1.0)
    digits = text if times == 1.0 else text[:-1]
    try:
        n = float(digits) * times
    except ValueError:
        n = 0.0
    if not 1 <= n < float("inf"):
        raise UserError(f"--prompts is {text!r}; expected a number such as 5000, 100k or 10M, at least 1")
    return float(round(n))


def _play(recipe: Recipe, shape: Shape | None) -> dict[str, Played]:
    """Give every role its model; the policy's, or a script's, has the wanted shape."""
    specs = role_specs(recipe)
    return {role: Played(spec, _shape(spec, specs["policy"], shape)) for role, spec in specs.items()}


def _name(played: Played) -> str:
    return played.shape.name if played.shape else f"{played.spec.name} ({played.spec.engine})"


def _shape(spec: ModelSpec, policy: ModelSpec, wanted: Shape | None) -> Shape | None:
    if spec.engine == "http":
        return None
    if wanted is not None and (spec.name == policy.name or spec.engine == "scripted"):
        return wanted
    return None if spec.engine == "scripted" else shape_of(spec.name)
