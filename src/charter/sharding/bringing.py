"""What a run has done, brought into the folder of a shard, so that its later stages can be done there."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from charter.damage import find_damage
from charter.errors import RunError
from charter.files.removal import remove
from charter.files.writing import replace_whole
from charter.pipeline import forget
from charter.recipe import load_recipe
from charter.recipe.stages import stages_of
from charter.runs.folder import Run
from charter.runs.inputs import source_digest
from charter.runs.place import RESOLVED
from charter.sharding.papers import Papers, write_papers
from charter.sharding.phases import is_done_by_rows
from charter.stages import STAGES, written_by

_LAST = frozenset({"evaluate", "report"})  # which make nothing that a shard's stages read
_BESIDE: Mapping[str, tuple[str, ...]] = {"prompts": ("data/written.jsonl",)}  # where the run wrote them itself


def stages_for_shards(run: Path) -> list[str]:
    """Name the stages that shards can do from what a run has done: up to the next that needs all rows."""
    names: list[str] = []
    for name in _stages(run):
        if (run / "stages" / f"{name}.json").exists() or name == "prompts":
            continue
        if not is_done_by_rows(name):
            break
        names.append(name)
    return names


def _stages(run: Path) -> tuple[str, ...]:
    """Name the stages of a run; before it is begun, every stage there is."""
    resolved = run / RESOLVED
    return stages_of(load_recipe(resolved)) if resolved.exists() else tuple(STAGES)


def fingerprints(run: Path, stage: str) -> dict[str, str]:
    """Fingerprint what a stage of a run wrote, by path."""
    written = (*written_by(stage), *_BESIDE.get(stage, ()))
    return {path: source_digest(run / path) for path in written if (run / path).exists()}


def bring_in(shard: Run, whole: Path, papers: Papers) -> Papers:
    """Bring what a run has done into a shard's folder, in place of what was there.

    Where the run has come to something else since the shard rested on it, such as a model that was trained anew, what
    the shard made of that is undone: its answers stay. Killed at any moment, it is done again.

    Args:
        shard: the shard, open.
        whole: the run's folder, in which nobody is at work.
        papers: the shard's.

    Returns:
        The papers as they are now.

    Raises:
        RunError: where something of the run is missing or damaged, or the disk is full.
    """
    made = [name for name in stages_of(shard.recipe) if name not in _LAST]
    there = [name for name in made if (whole / "stages" / f"{name}.json").exists()]
    damage = find_damage(whole, there)
    if damage:
        raise RunError(str(damage[0]))
    stale = [name for name in there if not _is_brought(shard, whole, papers, name)]
    found = {name: fingerprints(whole, name) for name in stale}
    papers = _undo(shard, papers, {name: found.get(name, papers.brought.get(name, {})) for name in there})
    for name in stale:
        shard.summary(name).unlink(missing_ok=True)
        for path in written_by(name):
            remove(shard.folder / path)
        for path in found[name]:
            _link(whole / path, shard.folder / path)
        papers = papers.model_copy(update={"brought": papers.brought | {name: found[name]}})
        write_papers(shard.folder, papers)
        _link(whole / "stages" / f"{name}.json", shard.summary(name))  # last: it marks the stage as done
    return papers


def _is_brought(shard: Run, whole: Path, papers: Papers, name: str) -> bool:
    own = shard.summary(name)
    return name in papers.brought and own.exists() and own.read_bytes() == (whole / "stages" / own.name).read_bytes()


def _undo(shard: Run, papers: Papers, now: Mapping[str, Mapping[str, str]]) -> Papers:
    """Undo what rests on a stage that the run has done otherwise since, or has undone."""
    names = stages_of(shard.recipe)
    changed = [name for name in names if name in papers.brought and papers.brought[name] != now.get(name)]
    if not changed:
        return papers
    first = names.index(changed[0])
    # The rows of the first that changed are not the shard's to forget: they may be asked of it again.
    forget(shard, names[first + 1])
    shard.summary(names[first]).unlink(missing_ok=True)
    for path in written_by(names[first]):
        remove(shard.folder / path)
    kept = {name: found for name, found in papers.brought.items() if names.index(name) < first}
    papers = papers.model_copy(update={"brought": kept})
    write_papers(shard.folder, papers)
    return papers


def _link(source: Path, target: Path) -> None:
    """Make one file or folder stand in two places; where the disk cannot do that it is copied."""
    try:
        if source.is_dir():
            remove(target)
            shutil.copytree(source, target, copy_function=_link_file)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            _link_file(source, target)
    except OSError as error:
        raise RunError(
            f"{target}: cannot be written ({error.strerror or error}). Check free space and permissions, then run the "
            "same command again: what was recorded is kept."
        ) from error


def _link_file(source: str | Path, target: str | Path) -> None:
    """Link a file, whole or not at all. Files of a run are replaced and never changed: a link keeps what it is."""

    def write(temporary: Path) -> None:
        temporary.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.link(source, temporary)
            return
        shutil.copyfile(source, temporary)

    replace_whole(Path(target), write)
