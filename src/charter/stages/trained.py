"""What all training stages share: the arguments that they pass, and which rows a training did without."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.progress import step_bar
from charter.recipe.paths import is_path
from charter.recipe.settings import GuardedSettings, TextTrainingSettings, TrainingSettings
from charter.records import Preference, SftRow
from charter.runs.folder import Run
from charter.stages.summary import Summary, tally

if TYPE_CHECKING:
    from charter.training.collapse import Guard
    from charter.training.destinations import Logs
    from charter.training.methods import StageName
    from charter.training.results import TrainingResult

SKIPPED: Summary = {"skipped": "the policy is scripted: it has no weights to train"}


def base_name(run: Run) -> str:
    """Name the policy as its adapter is to name it: by a path that holds from anywhere, where it is a folder."""
    name = run.recipe.models.policy.name
    return str(Path(name).expanduser().resolve()) if is_path(name) else name


def training_arguments(run: Run, stage: str, settings: TrainingSettings) -> dict[str, Any]:
    """Give what all trainings are told; steps drive the progress bar, the run's stop flag ends them."""
    from charter.training.adapters import LoraSettings
    from charter.training.pace import Pace

    name = run.model(stage).name
    policy, lora = run.recipe.models.policy, run.recipe.sft.lora  # later trainings go on with what SFT trained
    more: dict[str, Any] = {}
    if isinstance(settings, TextTrainingSettings):
        more["opening_tokens"] = settings.opening_tokens
    if isinstance(settings, GuardedSettings):
        more["guard"] = _guard(settings)
    return more | {
        "pace": Pace(**settings.model_dump(include={field.name for field in dataclasses.fields(Pace)})),
        "max_length": settings.max_length,
        "lora": None if lora is None else LoraSettings(**lora.model_dump()),
        "dtype": policy.dtype,
        "device": policy.device,
        "trust_remote_code": policy.trust_remote_code,
        "logs": _logs(run, name),
        "on_step": step_bar(run.progress, f"{name} training"),
        "stop": run.stop.is_set,
    }


def _guard(settings: GuardedSettings) -> Guard | None:
    from charter.training.collapse import Guard

    return None if settings.guard is None else Guard(**settings.guard.model_dump())


def _logs(run: Run, stage: str) -> Logs:
    from charter.training.destinations import Logs, installed

    asked = run.recipe.training.logs
    project, folder = run.recipe.name, (run.folder / "logs").resolve()
    return Logs(to=installed() if asked is None else asked, folder=str(folder), project=project, name=stage)


def train(
    run: Run, stage: StageName, rows: Sequence[SftRow] | Sequence[Preference], model: str, **settings: Any
) -> TrainingResult:
    """Train in this process, or in those that the recipe has started for it."""
    arguments = {"out": run.model(stage), "seed": run.seed, **settings}
    how = run.recipe.training
    if how.launch is not None:
        from charter.training.launch.configurations import find_launch
        from charter.training.launch.parent import launch_training

        return launch_training(stage, rows, model, launch=find_launch(how.launch, how.n_processes), **arguments)
    out = run.model(stage)
    shutil.rmtree(out.with_name(f"{out.name}.job"), ignore_errors=True)  # of processes that failed before
    from charter.training.methods import method_of

    return method_of(stage)(rows, model, **arguments)


def untrained(result: TrainingResult) -> dict[str, int]:
    """Count by reason the rows that a training was given and could not be trained on."""
    return tally(f"training: {row.reason}" for row in result.rejected)
