"""Whether this machine can train as a recipe says: the processes that are started, and weights in 4 bits."""

from __future__ import annotations

from collections.abc import Sequence

from charter.engines.quantising import quantising_lacks
from charter.errors import RecipeError
from charter.planning.findings import Preflight
from charter.recipe import Recipe
from charter.recipe.stages import TRAINING_STAGES, training_settings
from charter.training.destinations import logs_lack
from charter.training.launch.configurations import Launch, find_launch


def look_at_launch(report: Preflight, recipe: Recipe, stages: Sequence[str]) -> None:
    """Look at how trainings are started and kept, where any of them will be done."""
    trained = [stage for stage in TRAINING_STAGES if stage in stages]
    if not trained or recipe.models.policy.engine == "scripted":
        return
    if lacks := logs_lack(recipe.training.logs or ()):
        report.add("error", "training.logs", lacks)
    quantised = recipe.sft.lora is not None and recipe.sft.lora.quantise is not None
    lacks = quantising_lacks() if quantised else ""
    if lacks:
        report.add("error", "sft.lora.quantise", lacks)
    if recipe.training.launch is None:
        return
    launch = report.tried("training.launch", find_launch, recipe.training.launch, recipe.training.n_processes)
    if launch is None:
        return
    if lacks := launch.lacks():
        report.add("error", "training.launch", lacks)
    if launch.on_cpu and recipe.models.policy.device not in {"auto", "cpu"}:
        problem = f"keeps off GPUs, and models.policy.device is {recipe.models.policy.device!r}"
        report.add("error", "training.launch", f"{problem}; set that to auto, or take several-gpus")
    if quantised and launch.shards_weights:
        problem = "weights in 4 bits cannot be sharded; take it out, or take training.launch several-gpus"
        report.add("error", "sft.lora.quantise", problem)
    _look_for_idle(report, recipe, trained, launch)


def spreads_weights(recipe: Recipe) -> bool:
    """Tell whether the recipe's launch has each process hold a part of the weights."""
    if recipe.training.launch is None:
        return False
    try:
        return find_launch(recipe.training.launch, recipe.training.n_processes).shards_weights
    except RecipeError:  # which ``look_at_launch`` tells, where anything is launched
        return False


def _look_for_idle(report: Preflight, recipe: Recipe, trained: Sequence[str], launch: Launch) -> None:
    """Say where a step has fewer rows than there are processes."""
    n = launch.count()
    for stage in trained:
        settings = training_settings(recipe, stage)
        rows = settings.batch_size * settings.accumulation
        if rows < n:
            problem = f"times {stage}.accumulation is {rows} rows a step, and there are {n} processes"
            report.add("warning", f"{stage}.batch_size", f"{problem}: {n - rows} have nothing to do; raise it to {n}")
