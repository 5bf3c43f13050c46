"""The phases of a run that is divided: what one process does with all rows, and what shards do, in turn."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple

from charter.recipe import Recipe
from charter.recipe.stages import parted, stages_of

#: The stages that are done row by row, and so by shards. The others need all rows at once.
ROW_STAGES = ("revise", "pairs", "label", "evaluate")


class Phase(NamedTuple):
    """Stages that follow each other, all of which shards do, or one process alone."""

    by_shards: bool
    stages: tuple[str, ...]


def is_done_by_rows(name: str) -> bool:
    """Tell whether a stage, of whatever iteration, is done row by row."""
    return parted(name).stage in ROW_STAGES


def phases_of(recipe: Recipe) -> list[Phase]:
    """Name what one process and what shards do in turn; the report is none of it: it comes with the last merge."""
    stages = [name for name in stages_of(recipe) if name != "report"]
    return [Phase(by_shards, tuple(names)) for by_shards, names in itertools.groupby(stages, is_done_by_rows)]


def stages_until_shards(recipe: Recipe, run: Path) -> list[str]:
    """Name the stages of a run up to the next that is left and that shards do, those that are done among them."""

    def is_before(name: str) -> bool:
        return not is_done_by_rows(name) or (run / "stages" / f"{name}.json").exists()

    return list(itertools.takewhile(is_before, stages_of(recipe)))
