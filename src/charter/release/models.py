"""The models of a finished run: which there are, their folders, and what in a folder belongs to the model."""

from __future__ import annotations

import shutil
from pathlib import Path

from charter.damage import find_damage
from charter.engines.downloads import is_content
from charter.errors import RunError
from charter.recipe.stages import POLICY_STAGES, parted
from charter.reporting import read_run
from charter.reporting.cards.facts import Facts, gather_facts
from charter.reporting.cards.writing import trained_stages


def read_finished(run: Path) -> Facts:
    """Read a run that is whole.

    Raises:
        RunError: where it is no run, or something in it cannot be read.
    """
    data = read_run(run)
    broken = [str(one) for one in find_damage(run, tuple(data.stages))]
    broken += [f"{run / part}: could not be read: {why}; restore it" for part, why in data.unreadable.items()]
    if broken:
        raise RunError("\n".join(broken))
    return gather_facts(data)


def last_policy(facts: Facts) -> list[str]:
    """Name the last stage whose model answers people; none where no model was trained."""
    return [name for name in trained_stages(facts) if parted(name).stage in POLICY_STAGES][-1:]


def model_folder(facts: Facts, stage: str) -> Path:
    """Give the folder of the model that a stage trained.

    Raises:
        RunError: where there is none.
    """
    folder = facts.data.path / "models" / stage
    training = facts.data.stages[stage].training
    if training is not None and training.skipped:
        raise RunError(
            f"{folder}: there is no model of stage {stage!r}: {training.skipped}; name another with --model, or "
            "publish the tables alone (charter publish --what dataset,cards)"
        )
    if not folder.is_dir():
        raise RunError(f"{folder}: is missing, though stage {stage!r} was done; restore it, or do the stage again")
    return folder


def model_files(folder: Path) -> dict[str, Path]:
    """Name what belongs to a model of what lies in its folder: no checkpoint, no record of its training, no code."""
    names = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in names.items() if is_content(name, with_code=False)}


def copy_model(model: Path, folder: Path) -> None:
    """Copy what belongs to a model into a folder that is there, each file with its time."""
    for name, path in model_files(model).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, folder / name)
