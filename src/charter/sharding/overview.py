"""How far the shards of a run are."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from charter.journal_reading import reading_at_once
from charter.runs.place import holder_of
from charter.sharding.bringing import ROW_STAGES, stages_for_shards
from charter.sharding.papers import Papers, read_papers, shard_folders
from charter.sharding.recall import shard_command
from charter.sharding.shard import Shard
from charter.store import FORGOTTEN

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
    done = tuple(name for name in papers.own_stages(folder, ROW_STAGES) if name in names)
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
        return sum(
            stage.partition("/")[0] in names and payload != FORGOTTEN
            for some in reader.batches("rows", ("stage", "row", "status", "payload"))
            for stage, _, _, payload in some
        )


def what_is_next(run: Path, shards: Sequence[ShardStatus]) -> str:
    """Say what there is to do where shards are at it, and nothing where none is."""
    left = [one for one in shards if one.state != "done"]
    idle = [one.shard for one in left if one.state != "running"]
    if not shards:
        return ""
    if not left:
        return f"merge the shards: {shlex.join(['charter', 'merge', str(run)])}"
    if not idle:
        return f"wait for the shards at work: {', '.join(one.shard for one in left)}"
    some = ", ".join(idle[:_SHOWN]) + (f" and {len(idle) - _SHOWN} more" if len(idle) > _SHOWN else "")
    return f"run the shards that are left, {some}: {shard_command(run, Shard.read(idle[0]))}"
