"""The stages of the method, in order: what each reads, what it does, and what it writes.

One file a stage. These are the places where a recipe's settings become plain arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from charter.recipe import Recipe
from charter.recipe.stages import ITERATED, in_iteration, parted, policy_before
from charter.runs.folder import ITERATED_TABLES, Run
from charter.stages.dpo import do_dpo
from charter.stages.evaluate import do_evaluate
from charter.stages.label import do_label
from charter.stages.pairs import do_pairs
from charter.stages.preference_model import do_preference_model
from charter.stages.prompts import do_prompts
from charter.stages.report import do_report
from charter.stages.revise import do_revise
from charter.stages.rl import do_rl
from charter.stages.sft import do_sft, mix_rows
from charter.stages.summary import Summary


@dataclass(frozen=True)
class Stage:
    """One stage: the paths in a run folder that it reads and writes, and what it does.

    ``map`` maps its rows and does nothing else, where ``run`` does more than that and write what it mapped. The paths
    are those of the first iteration.
    """

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    run: Callable[[Run], Summary]
    map: Callable[[Run], object] | None = None


_POLICY = "stages/sft.json"  # whoever it is that an iteration begins from
STAGES: Mapping[str, Stage] = {
    "prompts": Stage((), ("data/prompts.parquet",), do_prompts),
    "revise": Stage(("data/prompts.parquet",), ("data/traces.parquet",), do_revise),
    "sft": Stage(("data/prompts.parquet", "data/traces.parquet"), ("data/sft.parquet", "models/sft"), do_sft, mix_rows),
    "pairs": Stage(
        ("data/prompts.parquet", "data/traces.parquet", "stages/sft.json"), ("data/pairs.parquet",), do_pairs
    ),
    "label": Stage(("data/pairs.parquet",), ("data/preferences.parquet", "data/unlabelled.parquet"), do_label),
    "preference_model": Stage(
        ("data/prompts.parquet", "data/preferences.parquet", "stages/sft.json"),
        ("data/rewards.parquet", "models/preference_model"),
        do_preference_model,
    ),
    "dpo": Stage(("data/preferences.parquet", "stages/sft.json"), ("models/dpo",), do_dpo),
    "rl": Stage(("data/prompts.parquet", "stages/sft.json"), ("models/rl",), do_rl),
    "evaluate": Stage(
        ("data/prompts.parquet",),
        (
            "data/responses.parquet",
            "data/comparisons.parquet",
            "data/readings.parquet",
            "data/probes.parquet",
            "data/adherence.parquet",
            "data/measured.parquet",
            "evaluation.json",
        ),
        do_evaluate,
    ),
    "report": Stage((), ("report.html",), do_report),
}


def do_stage(run: Run, name: str) -> Summary:
    """Do a stage, of whatever iteration."""
    stage, iteration = parted(name)
    return STAGES[stage].run(run.at(iteration))


def map_stage(run: Run, name: str) -> None:
    """Map the rows of a stage and, where it does hardly more than that, do the rest too."""
    stage, iteration = parted(name)
    (STAGES[stage].map or STAGES[stage].run)(run.at(iteration))


def written_by(name: str) -> tuple[str, ...]:
    """Name the paths in a run folder that a stage writes."""
    stage, iteration = parted(name)
    return tuple(_path_in(path, iteration) for path in STAGES[stage].writes)


def read_by(recipe: Recipe, name: str) -> tuple[str, ...]:
    """Name the paths in a run folder that a stage reads."""
    stage, iteration = parted(name)
    paths = [_path_in(path, iteration) for path in STAGES[stage].reads]
    if _POLICY in paths and stage != "preference_model":
        begun_from = policy_before(recipe, iteration)
        if stage == "rl" and recipe.rl is not None and recipe.rl.start == "dpo":
            begun_from = in_iteration("dpo", iteration)
        paths[paths.index(_POLICY)] = f"stages/{begun_from}.json"
    if stage == "rl" and recipe.rl is not None and recipe.rl.rewards.preference_model:
        paths.append(f"stages/{in_iteration('preference_model', iteration)}.json")
    return tuple(paths)


def _path_in(path: str, iteration: int) -> str:
    """Name the path of a table or a model that stands for one of the first iteration in another."""
    folder, _, file = path.partition("/")
    name, dot, suffix = file.partition(".")
    is_own = (folder == "models" and name in ITERATED) or (folder == "data" and name in ITERATED_TABLES)
    return f"{folder}/{in_iteration(name, iteration)}{dot}{suffix}" if is_own else path
