"""Trained models put where variables of the environment say too, for whoever has kept them there before."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from charter.errors import UserError
from charter.files.env_file import OUTPUT_FOLDERS
from charter.files.writing import new_folder
from charter.recipe import Recipe
from charter.recipe.stages import parted, stages_of
from charter.release.models import copy_model, model_files


@dataclass(frozen=True, slots=True)
class Place:
    """Where the model of a stage is put too: of several iterations that of the last. ``variable`` names the folder."""

    stage: str
    folder: Path
    variable: str


def find_places(recipe: Recipe, environment: Mapping[str, str] = os.environ) -> list[Place]:
    """Find the folders that the environment names for models of a recipe."""
    last = {parted(name).stage: name for name in stages_of(recipe)}
    named = {stage: environment.get(variable, "").strip() for stage, variable in OUTPUT_FOLDERS.items()}
    return [
        Place(last[stage], Path(folder), OUTPUT_FOLDERS[stage])
        for stage, folder in named.items()
        if folder and stage in last
    ]


def require_free(places: list[Place], run: Path, *, again: str | None = None) -> None:
    """See that nothing is in a model's way before anything is trained: nothing is ever written over.

    Args:
        places: where models are to be put.
        run: the run's folder, which need not be there.
        again: a stage that is to be done anew, which makes another model.

    Raises:
        UserError: where a folder is a file, or holds anything but the model that the run has.
    """
    for place in places:
        folder = place.folder
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            continue
        if again == place.stage or not _is_there(place, run):
            what = "holds files already" if folder.is_dir() else "is a file"
            raise UserError(
                f"{place.variable} says that the model of {place.stage} is put into {folder}, which {what}; name a new "
                f"folder there, or set {place.variable} to nothing: the run has its models in {run / 'models'} anyway"
            )


def put_models(places: list[Place], run: Path) -> Iterator[Place]:
    """Copy the models of stages that are done to their places, as they were trained; each appears whole or not at all.

    Yields:
        Each place that holds its model.

    Raises:
        UserError: where a folder holds other files, or cannot be written.
    """
    for place in places:
        if not (run / "stages" / f"{place.stage}.json").is_file() or not _model(place, run).is_dir():
            continue
        if not _is_there(place, run):
            with new_folder(place.folder) as made:
                copy_model(_model(place, run), made)
        yield place


def _model(place: Place, run: Path) -> Path:
    return run / "models" / place.stage


def _is_there(place: Place, run: Path) -> bool:
    """Whether a place holds the model that the run has."""
    files = model_files(_model(place, run)) if _model(place, run).is_dir() else {}
    copies = {place.folder / name: path for name, path in files.items()}
    # A copy keeps the time of what it is of, so that whole weights are seldom read again.
    return bool(copies) and all(copy.is_file() and filecmp.cmp(copy, path) for copy, path in copies.items())
