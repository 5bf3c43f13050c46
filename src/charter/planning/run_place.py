"""Whether a run could begin, or go on, in its folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from charter.planning.findings import Preflight
from charter.recipe import Recipe
from charter.runs.folder import check_files, check_place
from charter.runs.place import check_writable

_LITTLE_SPACE = 5_000_000_000  # bytes: what adapters, checkpoints and the journal of a middling run come to


def check_run_place(report: Preflight, recipe: Recipe, folder: Path) -> None:
    """Look at the run's folder and its disk, and whether the files of a run that is there are the same."""
    about = "run folder"
    report.tried(about, check_place, recipe, folder)
    if any(one.about == about for one in report.errors):
        return
    if report.plan is not None:  # else a file may be missing, which has been said
        report.tried(about, check_files, recipe, folder)
    n_errors = len(report.errors)
    report.tried(about, check_writable, folder)
    if len(report.errors) > n_errors:
        return
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(existing).free
    if free < _LITTLE_SPACE:
        report.add("warning", "disk", f"{existing} has {free / 1e9:.1f} GB free; a run may need more")
