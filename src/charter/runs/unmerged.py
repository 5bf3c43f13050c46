"""What the shards of a run took that is not merged into it yet: of one budget that is spent too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from charter.journal_reading import reading_at_once
from charter.runs.place import holder_of
from charter.sharding.papers import Papers, read_papers, shard_folders

#: What stages took, by whom it was taken (``Papers.source``) and the stage.
BySource = dict[tuple[str, str], str]


@dataclass(frozen=True)
class ShardTallies:
    """What a shard's stages took so far, by source and stage; unknown, and empty, where a ``holder`` is at work."""

    folder: Path
    papers: Papers
    holder: str
    tallies: BySource


def read_shard_tallies(run: Path) -> list[ShardTallies]:
    """Read what each shard in a run's folder took, but for those at work, maybe on another machine.

    Raises:
        RunError: where a shard's papers are damaged.
        JournalError: where its journal is.
    """
    found = []
    for folder in shard_folders(run):
        papers, holder = read_papers(folder), holder_of(folder)
        found.append(ShardTallies(folder, papers, holder, {} if holder else _read(folder, papers.source)))
    return found


def together(taken: Mapping[tuple[str, str], str], shards: Iterable[ShardTallies]) -> BySource:
    """Give what was taken in from shards, and in place of it what they took by now."""
    found = dict(taken)
    for one in shards:
        found |= one.tallies
    return found


def _read(folder: Path, source: str) -> BySource:
    journal = folder / "journal.sqlite"
    if not journal.exists():
        return {}
    with reading_at_once(journal) as reader:
        some = reader.batches("tallies", ("stage", "payload"))
        return {(source, stage): payload for batch in some for stage, payload in batch}
