"""What a run reads from outside its folder, as fingerprints: a run that is continued must find the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charter.constitution import load_constitution, write_constitution
from charter.engines.weights import ModelFolder, model_fingerprint
from charter.errors import RunError
from charter.files.hub_ids import is_dataset_id
from charter.files.tables import read_json
from charter.recipe import Recipe
from charter.recipe.stages import mixtures
from charter.records import BUILT_IN, GENERATED
from charter.seeds import digest

#: The copies of constitutions that a run keeps in its folder, as they were composed and derived, by what they are for.
CONSTITUTION_COPIES = {"constitution": "constitution.yaml", "helpful constitution": "constitution.helpful.yaml"}

#: The file in a run's folder that keeps the fingerprints.
INPUTS = "inputs.json"

_MODEL = "model "


def fingerprint_files(recipe: Recipe) -> dict[str, str]:
    """Fingerprint the constitutions and every file and folder that a run reads, by what they are for.

    Datasets of the hub, which are no file here, have none.

    Raises:
        UserError: for a file that is missing or malformed.
    """
    constitutions = _constitutions(recipe)
    found = {name: digest(load_constitution(source).model_dump(mode="json")) for name, source in constitutions.items()}
    for kind, source in recipe.prompts.sources().items():
        if source.source != GENERATED and Path(source.source).exists():
            found[f"prompts {kind}"] = source_digest(Path(source.source))
    return found | {
        name: source_digest(Path(file))
        for name, file in _files(recipe).items()
        if Path(file).exists() or not is_dataset_id(file)
    }


def fingerprint_models(folders: Mapping[str, ModelFolder | None], names: Mapping[str, str]) -> dict[str, str]:
    """Fingerprint the models by role; one without a folder, scripted or served, is its name."""
    return {
        f"{_MODEL}{role}": names[role] if folder is None else model_fingerprint(folder)
        for role, folder in folders.items()
    }


def copy_constitutions(recipe: Recipe, folder: Path) -> None:
    """Copy the constitutions that are trained for into a run's folder, each whole: what it extends is part of it.

    Raises:
        UserError: for a file that is missing or malformed, or cannot be written.
    """
    sources = _constitutions(recipe)
    for name, copy in CONSTITUTION_COPIES.items():
        write_constitution(load_constitution(sources[name]), folder / copy)


def read_inputs(folder: Path) -> dict[str, Any]:
    """Read what a run began with, as fingerprints by what they are for.

    Raises:
        RunError: where that is missing or damaged.
    """
    path = folder / INPUTS
    found = read_json(path)
    if not isinstance(found, dict):
        raise RunError(f"{path}: is damaged: it holds no fingerprints; restore it, or name a new folder with --out")
    return found


def check_unchanged(
    recorded: Mapping[str, Any], now: Mapping[str, str], folder: Path, recipe: Recipe, models: Mapping[str, str]
) -> None:
    """Check that a run finds what it began with.

    Args:
        recorded: fingerprints by input, of the run.
        now: those of now.
        folder: of the run.
        recipe: whose files are named.
        models: the models' names by role; empty where only files are looked at.

    Raises:
        RunError: naming every input that changed, and where it is.
    """
    places = _places(recipe, models)
    looked_at = [name for name in recorded if models or not name.startswith(_MODEL)]
    lines = []
    for name in dict.fromkeys((*looked_at, *now)):
        if recorded.get(name) != now.get(name):
            missing = "is gone since the run began" if name in recorded else "is new since the run began"
            how = "is not what the run began with" if name in recorded and name in now else missing
            lines.append(f"  {name}: {places.get(name, 'what was read')} {how}")
    if lines:
        changed = "\n".join(lines)
        raise RunError(
            f"{folder}: belongs to other inputs:\n{changed}\nPut back what was there to go on with this run, or begin "
            "another in a new folder with --out."
        )


def _places(recipe: Recipe, models: Mapping[str, str]) -> dict[str, str]:
    """Say where each input is read."""
    places = _constitutions(recipe)
    places |= {f"prompts {kind}": source.source for kind, source in recipe.prompts.sources().items()}
    return places | _files(recipe) | {f"{_MODEL}{role}": name for role, name in models.items()}


def _constitutions(recipe: Recipe) -> dict[str, str]:
    """Name the constitutions that a run reads, by what they are for."""
    own = {"constitution": recipe.constitution.source, "helpful constitution": recipe.constitution.helpful}
    probed = enumerate(recipe.evaluate.probes, start=1)
    own |= {f"constitution of probes {number}": probes.constitution for number, probes in probed}
    for kind, source in recipe.prompts.sources().items():
        if source.principles is not None:
            own[f"constitution of prompts {kind}"] = source.principles
    return own


def _files(recipe: Recipe) -> dict[str, str]:
    """Name the files that a run reads beside those of prompts, by what they are for."""
    files = {
        f"multiple choice {number} ({Path(file).name})": file
        for number, file in enumerate(recipe.evaluate.multiple_choice, start=1)
    }
    files |= {
        f"probes {number}": probes.source
        for number, probes in enumerate(recipe.evaluate.probes, start=1)
        if probes.source != BUILT_IN
    }
    files |= {
        f"calibrator of judge {name}": judge.calibrator
        for name, judge in recipe.label.judges.items()
        if judge.calibrator is not None
    }
    generate = recipe.prompts.generate
    named = {
        "calibrator": recipe.label.calibrator,
        "axes of generated prompts": generate.axes,
        "examples of generated prompts": generate.few_shots,
        "wording of generated prompts": generate.texts,
    }
    given = {"given revisions": recipe.revise.given, "given pairs": recipe.pairs.given} | {
        f"helpfulness pairs{'' if stage == 'preference_model' else f' of {stage}'}": mixed.helpfulness
        for stage, mixed in mixtures(recipe).items()
    }
    brought = {name: rows.source for name, rows in given.items() if rows is not None and rows.source != GENERATED}
    return files | brought | {name: file for name, file in named.items() if file is not None}


def source_digest(path: Path) -> str:
    """Fingerprint a file, or a saved dataset's folder by the names and contents of its files."""
    if not path.is_dir():
        return _file_digest(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return digest([[file.relative_to(path).as_posix(), _file_digest(file)] for file in files])


def _file_digest(path: Path) -> str:
    import hashlib

    if not path.is_file():
        raise RunError(f"{path}: no such file; check the recipe")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
