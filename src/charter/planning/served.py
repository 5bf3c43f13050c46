"""What is known of models behind servers before a run: whether they and their keys are there, and what they can do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from charter.engines.base import Capability
from charter.engines.http import HttpEngine, Limits
from charter.engines.http.catalogue import list_models
from charter.engines.http.keys import find_key
from charter.engines.http.probing import Known
from charter.engines.http.servers import Server, find_server, is_local
from charter.engines.specs import ModelSpec
from charter.engines.spending import Spending
from charter.engines.usage import KindUsage
from charter.errors import EngineError, ModelError
from charter.planning.findings import Preflight
from charter.planning.needs import list_needs, missing
from charter.recipe import Recipe
from charter.recipe.stages import without_iterations
from charter.runs.roles import model_specs, other_specs, role_key, role_specs
from charter.runs.spent import spending_in
from charter.spelling import hint

_PROBE_SECONDS, _PROBE_DEADLINE_SECONDS = 30.0, 60.0


def look_at_server(report: Preflight, about: str, spec: ModelSpec) -> None:
    """Look for a model's server, key and name; what is wrong goes into the report, under ``about``."""
    server = report.tried(f"{about}.server", find_server, spec.server or ())
    if server is None:
        return
    found = report.tried(about, find_key, server, spec.key_name)
    if found is None:
        return
    key_name, key = found
    open_to_all = [url for url in server.base_urls if url.startswith("http://") and not is_local(url)]
    if key and open_to_all:
        problem = f"the key in {key_name} would go to {open_to_all[0]} unencrypted; take https"
        report.add("warning", f"{about}.server", problem)
    try:
        models = report.tried(about, partial(list_models, server, key, key_name))
    except EngineError as error:
        report.add("warning", f"{about}.server", f"{error}; it must answer when the run begins")
        return
    _check_listed(report, about, spec, server, models or [])


def check_served(
    recipe: Recipe,
    folder: Path,
    stages: Sequence[str],
    on_retry: Callable[[str], None] | None = None,
    on_meet: Callable[[str], None] | None = None,
) -> Known:
    """Ask the servers whose models these stages need what they can do, before anything is done that they come after.

    Args:
        recipe: what is run.
        folder: where, which need not be there yet; what was spent there counts.
        stages: that will be done.
        on_retry: told of each try that failed and is followed by another.
        on_meet: told in a line what each server was found to do.

    Returns:
        What was found, so that the run's pool need not ask again.

    Raises:
        BudgetSpent: where asking is more than there is left of the budget.
        UserError: a line for each that does not answer, or lacks something.
    """
    report, known, stages = Preflight(), Known(), without_iterations(stages)
    spending = spending_in(folder, recipe, model_specs(recipe).values())
    ask = partial(_capabilities_of, report, known=known, spending=spending, on_retry=on_retry, on_meet=on_meet)
    needs = [need for need in list_needs(recipe) if need.stage in stages]
    found: dict[ModelSpec, frozenset[Capability] | None] = {}
    roles = [(role, spec) for role, spec in role_specs(recipe).items() if spec.engine == "http"]
    for role, spec in roles:
        if any(need.role == role for need in needs):
            if spec not in found:
                found[spec] = ask(role_key(role), spec)
            for lacks in missing(needs, role, found[spec] or frozenset(), stages) if found[spec] else ():
                report.add("error", role_key(role), f"{spec.name} {lacks}")
    if "evaluate" in stages:
        for name, spec in other_specs(recipe).items():
            if spec.engine == "http" and spec not in found:
                found[spec] = ask(f"evaluate.others.{name}", spec)
    report.require_no_error()
    return known


def _capabilities_of(
    report: Preflight,
    about: str,
    spec: ModelSpec,
    *,
    known: Known,
    spending: Spending,
    on_retry: Callable[[str], None] | None = None,
    on_meet: Callable[[str], None] | None = None,
) -> frozenset[Capability] | None:
    """Ask a server what it can do for a model, with a few of the smallest calls; None where it gives no answer.

    What was found out before is not asked again, and what is found out now is noted, with what that took.

    Raises:
        BudgetSpent: where that is more than there is left of a budget.
    """
    limits = Limits(spec.max_at_once, _PROBE_SECONDS, _PROBE_DEADLINE_SECONDS)
    try:
        met = known.get(spec.served_as)
        engine = HttpEngine(
            spec.name,
            spec.server or (),
            key_name=spec.key_name,
            limits=limits,
            spending=spending,
            met=met and replace(met, asked=KindUsage()),  # which is counted once
            on_retry=on_retry,
        )
    except (EngineError, ModelError) as error:
        report.add("error", about, str(error))
        return None
    with contextlib.closing(engine):
        if met is None and on_meet is not None:
            on_meet(engine.found)
        known.setdefault(spec.served_as, replace(engine.met, asked=engine.taken.total))
        return engine.capabilities


def _check_listed(report: Preflight, about: str, spec: ModelSpec, server: Server, models: list[str]) -> None:
    if models and spec.name not in models:
        some = ", ".join(models[:5]) + (f" and {len(models) - 5} more" if len(models) > 5 else "")
        problem = f"{server.base_urls[0]} lists no model {spec.name!r} ({some}){hint(spec.name, models)}"
        report.add("warning", about, f"{problem}; some servers answer to other names as well")
