"""``charter run --shard``: one shard of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from charter.cli import console, results
from charter.cli.running import run_folder, saying_loading, saying_retries, stoppable

if TYPE_CHECKING:
    from charter.sharding.shard import Shard


def run_shard(
    recipe_file: Path,
    overrides: Sequence[str],
    out: Path | None,
    shard: str,
    *,
    until: str,
    answers_of: Sequence[Path],
    as_json: bool,
) -> None:
    """Do a shard of what a recipe says, and say what is left to be done before the shards can be merged."""
    from charter.planning.preflight import check_inputs
    from charter.planning.served import check_served
    from charter.recipe import find_recipe, load_recipe
    from charter.recipe.stages import stages_to_do
    from charter.sharding.bringing import stages_for_shards
    from charter.sharding.shard import Shard

    part = Shard.read(shard)
    recipe_file = find_recipe(recipe_file)
    recipe = load_recipe(recipe_file, overrides)
    stages_to_do(recipe, [until])
    folder = run_folder(recipe.name, out)
    names = stages_for_shards(folder)
    if not (folder / "stages" / "prompts.json").exists():
        names = ["prompts", *names]
    check_inputs(recipe, names)
    say_retry = saying_retries()
    known = check_served(recipe, folder, names, say_retry, None if as_json else console.note)
    with stoppable() as (stop, progress):
        from charter.sharding.opening import Outside, do_shard

        outside = Outside(
            recipe_text=recipe_file.read_text("utf-8"),
            answers_of=answers_of,
            progress=progress,
            stop=stop,
            on_download=progress.download,
            on_load=saying_loading(quiet=as_json),
            on_meet=None if as_json else console.note,
            on_retry=say_retry,
            known=known,
            on_wait=lambda why: console.note(f"waiting: {why}"),
        )
        done = do_shard(recipe, folder, part, outside, until=until)
    _tell(folder, part, done, as_json=as_json)


def _tell(folder: Path, shard: Shard, done: Sequence[str], *, as_json: bool) -> None:
    from charter.status import read_status, read_summaries

    status = read_status(folder)
    shards, following = status.shards, status.next_step
    if as_json:
        value = {
            "run": str(folder),
            "shard": str(shard),
            "folder": str(shard.folder(folder)),
            "stages": read_summaries(shard.folder(folder), done),
            "shards": [one.to_dict() for one in shards],
            "next": following,
        }
        console.write_json(value)
        return
    if done:
        results.write_stages(shard.folder(folder), done)
    console.write(f"shard {shard}: {'done: ' + ', '.join(done) if done else 'nothing to do'}")
    n_left = sum(one.state != "done" for one in shards)
    if n_left:
        console.write(f"shards still to be finished: {n_left} of {len(shards)}")
    console.write(f"next: {following}")
    console.write(str(folder))
