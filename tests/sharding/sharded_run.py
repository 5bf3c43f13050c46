"""A small run done in shards, for the tests of shards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charter.pipeline import run_stages
from charter.recipe import Recipe
from charter.runs.folder import open_run
from charter.sharding.merging import Merged, merge_shards
from charter.sharding.opening import Outside, do_shard
from charter.sharding.shard import Shard
from run_examples import RECIPE, small_recipe

OUTSIDE = Outside(RECIPE, patience=60.0)
#: What shards do between the stages that need all rows.
PHASES = (("revise",), ("pairs", "label"), ("evaluate",))
BETWEEN = ("sft", "dpo")
#: The same of a run of two iterations.
PHASES_TWICE = (*PHASES[:2], ("pairs-2", "label-2"), PHASES[2])
BETWEEN_TWICE = (*BETWEEN, "dpo-2")


def shards(n: int) -> Iterator[Shard]:
    """Give all shards of ``n``."""
    return (Shard(n, number) for number in range(1, n + 1))


def do_shards(recipe: Recipe, run: Path, n: int) -> None:
    """Do every shard of ``n``, as far as it goes."""
    for shard in shards(n):
        do_shard(recipe, run, shard, OUTSIDE)


def do_whole(recipe: Recipe, run: Path, *names: str) -> None:
    """Do stages in the run itself."""
    with open_run(recipe, run, recipe_text=RECIPE) as opened:
        run_stages(opened, names, retry=False)


def sharded_run(folder: Path, n: int, *overrides: str) -> Path:
    """Do a whole run in ``n`` shards, and give its folder."""
    recipe, run = small_recipe(folder, *overrides), folder / "run"
    phases, between = (PHASES, BETWEEN) if recipe.iterations == 1 else (PHASES_TWICE, BETWEEN_TWICE)
    for number, phase in enumerate(phases):
        do_shards(recipe, run, n)
        merged = merge_shards(run)
        assert merged.stages == (*phase, *(["report"] if phase == ("evaluate",) else []))
        if number < len(between):
            do_whole(recipe, run, between[number])
    return run


def first_merged(folder: Path, n: int = 3) -> tuple[Recipe, Path, Merged]:
    """Do a run's first shards and merge them."""
    recipe, run = small_recipe(folder), folder / "run"
    do_shards(recipe, run, n)
    return recipe, run, merge_shards(run)


def usage(run: Path, stage: str) -> Any:
    """Read what calls and tokens a stage came to, by model."""
    return json.loads((run / "stages" / f"{stage}.json").read_text("utf-8"))["usage"]
