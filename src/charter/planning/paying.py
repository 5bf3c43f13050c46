"""What servers ask for a plan, and whether a recipe's budget holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from charter.engines.prices import read_prices
from charter.engines.specs import ModelSpec
from charter.engines.spending import Price
from charter.planning.findings import Preflight
from charter.planning.hardware import NOTHING, Range
from charter.planning.places import path_hint
from charter.planning.sizing import Load
from charter.planning.stage_plan import StagePlan
from charter.recipe import Recipe
from charter.runs.roles import model_specs, role_specs


def look_at_prices(report: Preflight, recipe: Recipe) -> dict[str, Price]:
    """Read the recipe's prices; what is wrong with them, or missing, goes into the report."""
    file = recipe.budget.prices
    prices = report.tried("budget.prices", read_prices, file, hint=path_hint(file) if file else "")
    if file is None or prices is None:
        return {}
    for name in dict.fromkeys(spec.name for spec in model_specs(recipe).values() if spec.engine == "http"):
        if name not in prices:
            problem = f"{file}: {name!r} has no price; put it there, such as {name}: {{prompt: 0.5, completion: 1}}"
            if recipe.budget.money is None:
                report.add("warning", "budget.prices", f"{problem}, or its calls count as costing nothing")
            else:
                report.add("error", "budget.prices", f"{problem}, with 0 where it costs nothing")
    return prices


def asked_of_servers(stage: StagePlan, specs: Mapping[str, ModelSpec]) -> Iterator[tuple[ModelSpec, Load]]:
    """Give what a stage asks of models behind servers, by role."""
    for role in stage.demand.asked:
        if specs[role].engine == "http":
            yield specs[role], stage.demand.loads[role]


def money_of(stage: StagePlan, specs: Mapping[str, ModelSpec], prices: Mapping[str, Price]) -> Range:
    """Say what servers ask, as far as prices are known: with all that calls share cached, and with nothing."""
    money = NOTHING
    for spec, load in asked_of_servers(stage, specs):
        if (price := prices.get(spec.name)) is not None:
            again, written = round(load.repeated_tokens), round(load.completion_tokens)
            read = round(load.prompt_tokens) + again
            money += Range(price.of(read, written, again), price.of(read, written))
    return money


def look_at_budget(report: Preflight, recipe: Recipe, stages: Sequence[StagePlan], money: Range) -> None:
    """Point out where what servers are planned to take goes beyond the budget."""
    budget, specs = recipe.budget, role_specs(recipe)
    loads = [load for stage in stages for _, load in asked_of_servers(stage, specs)]
    n_tokens = sum(load.prompt_tokens + load.repeated_tokens + load.completion_tokens for load in loads)
    then = "the run will stop there; raise it, or plan for less"
    if budget.tokens is not None and budget.tokens < n_tokens:
        problem = f"is {budget.tokens:,}, and servers are planned to read and write {n_tokens:,.0f} tokens"
        report.add("warning", "budget.tokens", f"{problem}: {then}")
    if budget.money is not None and budget.money < money.high:
        planned = f"{money.low:.3g} to {money.high:.3g}" if money.low < money.high else f"{money.high:.3g}"
        problem = f"is {budget.money:g}, and servers are planned to cost {planned}"
        report.add(
            "warning", "budget.money", f"{problem}: {then if budget.money < money.low else 'it may not suffice'}"
        )
