"""How far the shards of a run are."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from charter.journal.counting import count_rows
from charter.journal.reading import reading_at_once
from charter.recipe import load_recipe
from charter.recipe.stages import stages_of
from charter.runs.place import RESOLVED, SHARDS, holder_of
from charter.sharding.bringing import stages_for_shards
from charter.sharding.papers import Papers, read_papers, shard_folders
from charter.sharding.phases import is_done_by_rows
from charter.sharding.recall import merge_command, shard_command
from charter.sharding.shard import Shard

_SHOWN = 8
State = Literal["done", "running", "interrupted", "waiting"]


@dataclass(frozen=True)
class ShardStatus:
    """One shard: what it has done of the stages that shards can do now, and what it has left.

    ``n_rows`` are the rows that it has recorded of the stages that are left; None while somebody is at work in it,
    maybe on another machine, whose files are left alone. A shard that has no folder yet has ``folder`` None.
    """

    shard: str
    state: State
    done: tuple[str, ...]
    left: tuple[str, ...]
    folder: Path | None = None
    holder: str = ""
    n_rows: int | None = 0

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them."""
        return {**asdict(self), "folder": None if self.folder is None else str(self.folder)}


def read_shards(run: Path) -> list[ShardStatus]:
    """Read how far the shards of a run are with the stages that they can do now; none where none is at it.

    Raises:
        RunError: where a shard's papers are damaged.
        JournalError: where its journal is.
    """
    names = stages_for_shards(run)
    if not names:
        return []
    found = [_read(folder, read_papers(folder), names) for folder in shard_folders(run)]
    begun = [(papers, one) for papers, one in found if one.state != "waiting"]
    there = {papers.shard: one for papers, one in found}
    return [
        there.get(shard, ShardStatus(str(shard), "waiting", (), tuple(names)))
        for of in sorted({papers.of for papers, _ in begun})
        for shard in (Shard(of, number) for number in range(1, of + 1))
    ]


def _read(folder: Path, papers: Papers, names: Sequence[str]) -> tuple[Papers, ShardStatus]:
    holder = holder_of(folder)
    done = tuple(papers.own_stages(folder, names))
    left = tuple(name for name in names if name not in done)
    n_rows = None if holder else _count_rows(folder, left)
    state: State = "running" if holder else "done" if not left else "interrupted" if done or n_rows else "waiting"
    return papers, ShardStatus(str(papers.shard), state, done, left, folder, holder, n_rows)


def _count_rows(folder: Path, names: Sequence[str]) -> int:
    """Count the rows that are recorded of stages."""
    journal = folder / "journal.sqlite"
    if not names or not journal.exists():
        return 0
    with reading_at_once(journal) as reader:
        return count_rows(reader, names)


def what_is_next(run: Path, shards: Sequence[ShardStatus]) -> str:
    """Say what there is to do where a run is done in shards; nothing where it is not, or only its report is left.

    Args:
        run: the run's folder.
        shards: those that are at it (see ``read_shards``).
    """
    divisions = sorted({Shard.read(one.shard).of for one in shards})
    if len(divisions) > 1:
        return _keep_one(run, shards, divisions)
    left = [one for one in shards if one.state != "done"]
    idle = [one.shard for one in left if one.state != "running"]
    if not shards:
        return _begin_shards(run) if (run / SHARDS).is_dir() else ""
    if not left:
        return f"merge the shards: {merge_command(run)}"
    if not idle:
        return f"wait for the shards at work: {', '.join(one.shard for one in left)}"
    some = ", ".join(idle[:_SHOWN]) + (f" and {len(idle) - _SHOWN} more" if len(idle) > _SHOWN else "")
    return f"run the shards that are left, {some}: {shard_command(run, Shard.read(idle[0]))}"


def _keep_one(run: Path, shards: Sequence[ShardStatus], divisions: Sequence[int]) -> str:
    """Say what to do about divisions that overlap: the one with the least left is kept."""
    at_work = [one.shard for one in shards if one.state == "running"]
    some = " and ".join(f"1/{of} to {of}/{of}" for of in divisions)
    if at_work:
        return f"wait for the shards at work, {', '.join(at_work)}: shards {some} overlap, and one division is merged"

    def n_left(of: int) -> int:
        return sum(one.state != "done" for one in shards if Shard.read(one.shard).of == of)

    kept = min(divisions, key=n_left)
    others = " ".join(str(run / SHARDS / f"*-of-{of}") for of in divisions if of != kept)
    return (
        f"shards {some} overlap, and only one division can be merged: remove {others}, and look again"
        if n_left(kept)
        else f"shards {some} overlap, and only one division can be merged: remove {others}, then {merge_command(run)}"
    )


def _begin_shards(run: Path) -> str:
    """Say which shards are to be begun, and what is to be done before them."""
    waiting = [
        name for name in stages_of(load_recipe(run / RESOLVED)) if not (run / "stages" / f"{name}.json").exists()
    ]
    divisions = {read_papers(folder).of for folder in shard_folders(run)}
    division = divisions.pop() if len(divisions) == 1 else None
    shard = str(Shard(division, 1)) if division else "K/N"
    which = f"{shard} to {Shard(division, division)}" if division else "K of 1 to N"
    by_shards = f"{which}: {shard_command(run, shard)}"
    if not waiting or waiting == ["report"]:
        return ""
    if stages_for_shards(run):
        return f"run the shards, {by_shards}"
    return f"do {_do_alone(run, waiting)}; then the shards again, {by_shards}"


def _do_alone(run: Path, waiting: Sequence[str]) -> str:
    """Say which of the waiting stages come before those that shards do, and the command that does them."""
    names = list(itertools.takewhile(lambda name: not is_done_by_rows(name), waiting))
    which = "which needs" if len(names) == 1 else "which need"
    command = shlex.join(["charter", "run", str(run / RESOLVED), "--out", str(run), "--until", "shards"])
    return f"{', '.join(map(repr, names))}, {which} all rows at once: {command}"
