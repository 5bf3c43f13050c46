"""What the shards of a run did and took that is not merged into it yet."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from charter.errors import RunError
from charter.journal.counting import begun_stages
from charter.journal.reading import reading_at_once
from charter.journal.store import Journal
from charter.runs.place import SHARDS, holder_of
from charter.sharding.papers import Papers, read_papers, shard_folders

#: What stages took, by whom it was taken (``Papers.source``) and the stage.
BySource = dict[tuple[str, str], str]
_SHOWN = 8


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


def read_tallies(run: Path) -> tuple[list[str], BySource]:
    """Read what the stages of a run took: in its folder, and in what was taken in from elsewhere.

    Raises:
        JournalError: where its journal cannot be read, or is written meanwhile.
    """
    with reading_at_once(run / "journal.sqlite") as reader:
        own = [payload for some in reader.batches("tallies", ("stage", "payload")) for _, payload in some]
        columns = ("source", "stage", "payload")
        taken = {(one, stage): kept for some in reader.batches("taken_tallies", columns) for one, stage, kept in some}
    return own, taken


@dataclass(frozen=True)
class Unmerged:
    """A shard with rows of these stages that its run does not have, or that is at work on them."""

    folder: Path
    papers: Papers
    stages: tuple[str, ...]


def read_unmerged(run: Path, journal: Journal, names: Sequence[str]) -> list[Unmerged]:
    """Find the shards in a run's folder that did rows of stages, on what the run has now, and were not merged since.

    Args:
        run: the run's folder, in which nobody else is at work.
        journal: the run's.
        names: the stages.

    Raises:
        RunError: where a shard's papers are damaged.
        JournalError: where its journal is.
    """
    found = []
    for folder in shard_folders(run) if names else ():
        papers = read_papers(folder)
        if holder_of(folder):  # its files are left alone
            found.append(Unmerged(folder, papers, tuple(names)))
        elif _rests_on(folder, papers, run):
            took = _read(folder, papers.source)
            # A merge takes in all that a shard took: what it took since, the run does not have.
            since = [
                name
                for name in names
                if journal.taken_tallies(name).get(papers.source) != took.get((papers.source, name), "")
            ]
            stages = _begun(folder, papers, since)
            found += [Unmerged(folder, papers, tuple(stages))] if stages else []
    return found


def require_merged(run: Path, journal: Journal, names: Sequence[str]) -> None:
    """Check that no shard did rows of stages that are to be done in the run itself.

    Raises:
        RunError: naming the shards, and what to do.
    """
    shards = read_unmerged(run, journal, [name for name in names if not (run / "stages" / f"{name}.json").exists()])
    if shards:
        stages = dict.fromkeys(repr(stage) for shard in shards for stage in shard.stages)
        raise RunError(
            f"{run}: shards did rows of {', '.join(stages)} that are not merged, and would be done again: "
            f"{name_shards(shards)}. Merge them: {shlex.join(['charter', 'merge', str(run)])}. To do without them, "
            f"remove {run / SHARDS}"
        )


def name_shards(shards: Sequence[Unmerged]) -> str:
    """Name shards as they are written on the command line, and no more of them than can be read."""
    named = [str(one.papers.shard) for one in sorted(shards, key=lambda one: one.papers.shard)]
    return ", ".join(named[:_SHOWN]) + (f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else "")


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


def _rests_on(folder: Path, papers: Papers, run: Path) -> bool:
    """Tell whether a shard rests on what its run has now. A stage that was done anew has another summary."""
    pairs = [(run / "stages" / f"{name}.json", folder / "stages" / f"{name}.json") for name in papers.brought]
    return all(one.exists() and other.exists() and one.read_bytes() == other.read_bytes() for one, other in pairs)


def _begun(folder: Path, papers: Papers, names: Sequence[str]) -> list[str]:
    """Name those of the stages that a shard has done, or of which it has recorded rows."""
    begun = set(papers.own_stages(folder, tuple(names)))
    left = [name for name in names if name not in begun and name not in papers.brought]
    journal = folder / "journal.sqlite"
    if left and journal.exists():
        with reading_at_once(journal) as reader:
            begun |= begun_stages(reader, left)
    return [name for name in names if name in begun]
