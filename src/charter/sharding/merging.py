"""The shards of a run, merged into it: their journals taken in, and their stages finished from records alone."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from charter.engines.base import Capability
from charter.errors import RunError
from charter.journal.absorption import Absorbed, absorb
from charter.journal.overlap import find_overlap
from charter.pipeline import finish_stages
from charter.progress import Progress
from charter.recipe import Recipe, load_recipe
from charter.recipe.stages import stages_of
from charter.runs.folder import Run, check_files, opened_again
from charter.runs.inputs import INPUTS, read_inputs
from charter.runs.place import RESOLVED, SHARDS, held, holder_of, is_run, require_no_shards
from charter.runs.recorded_recipe import changed_settings
from charter.sharding.bringing import fingerprints, stages_for_shards
from charter.sharding.papers import Papers, read_papers, shard_folders
from charter.sharding.phases import is_done_by_rows
from charter.sharding.recall import RecallMapper, from_records, shard_command
from charter.sharding.shard import Shard


@dataclass(frozen=True)
class Merged:
    """What a merge did: the stages that it finished, from how many shards, and what it took in from them."""

    stages: tuple[str, ...]
    n_shards: int
    n_completions: int
    n_rows: int
    n_damaged: int


@dataclass(frozen=True)
class _Part:
    """One shard's folder, as it was left."""

    folder: Path
    papers: Papers
    done: tuple[str, ...]


def merge_shards(
    folder: Path,
    shards: Sequence[Path] = (),
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Merged:
    """Take what the shards of a run did into the run, and finish its stages from that; no model is asked or loaded.

    Everything is verified first: that all shards of one division are there and have finished, with the recipe and the
    inputs of the run, resting on what it has now, and that no row was done by two. Then each shard's journal is taken
    in by itself, and each stage is held to have a record of every row. To merge again changes nothing; killed at any
    moment, the same call goes on.

    Args:
        folder: of the run.
        shards: folders of shards that lie elsewhere than in the run's folder.
        progress: where steps are shown.
        stop: set when it is to stop.

    Raises:
        Busy: where somebody is at work on the run, or on a shard.
        RunError: naming what is missing, differs or overlaps, and what to do.
        TooManyFailures: where more rows of a stage failed in all than may.
        Interrupted: where it was stopped.
    """
    if not is_run(folder) or not (folder / INPUTS).exists():
        raise RunError(f"{folder}: is no run's folder; name the one that was given to 'charter run --shard' with --out")
    recipe = load_recipe(folder / RESOLVED)
    with held(folder):
        require_no_shards(folder)
        check_files(recipe, folder)
        names = stages_for_shards(folder)
        found = _find(folder, shards, [name for name in stages_of(recipe) if is_done_by_rows(name)])
        parts = _division(recipe, folder, found, names)
        todo = _require_finished(folder, parts, names) if parts else []
        _verify(folder, parts, todo)
        if "evaluate" in todo or (found and _lacks_report(recipe, folder)):
            todo.append("report")  # nothing is left that would need a model
        if not todo:
            return Merged((), 0, 0, 0, 0)
        with opened_again(recipe, folder, progress=progress, stop=stop) as run:
            return _finish(run, parts, todo)


def _lacks_report(recipe: Recipe, folder: Path) -> bool:
    """Tell whether all of a run is done but for its report."""
    return [name for name in stages_of(recipe) if not (folder / "stages" / f"{name}.json").exists()] == ["report"]


def _find(folder: Path, shards: Sequence[Path], names: Sequence[str]) -> list[_Part]:
    """Read the papers of all shards, in the run's folder and elsewhere, and which of these stages they did."""
    places = dict.fromkeys(place.resolve() for place in (*shard_folders(folder), *shards))
    found = []
    for place in places:
        papers = read_papers(place)
        found.append(_Part(place, papers, tuple(papers.own_stages(place, names))))
    return found


def _division(recipe: Recipe, folder: Path, parts: Sequence[_Part], names: Sequence[str]) -> list[_Part]:
    """Choose the shards that did something of the stages that are to be done; in order, and of one division.

    Raises:
        RunError: where one is of another recipe, there are shards of two divisions, or one shard is there twice.
    """
    at_work = [part for part in parts if set(part.done) & set(names)]
    divisions = sorted({part.papers.of for part in at_work})
    chosen = sorted((part for part in parts if part.papers.of in divisions), key=lambda part: part.papers.number)
    for part in chosen:
        _require_origin(recipe, folder, part)
    if len(divisions) > 1:
        first, second = (next(part for part in at_work if part.papers.of == of) for of in divisions[:2])
        raise RunError(
            f"{first.folder} and {second.folder} are shards {first.papers.shard} and {second.papers.shard}: what both "
            "divisions did overlaps. Remove the folders of one, and merge the other"
        )
    for one, other in itertools.pairwise(chosen):
        if one.papers.number == other.papers.number:
            raise RunError(_tell_twice(folder, one, other))
    return chosen


def _require_origin(recipe: Recipe, folder: Path, part: _Part) -> None:
    """Require that a shard was done by the recipe and with the inputs of its run.

    Raises:
        RunError: naming what differs.
    """
    shard = f"{part.folder}: shard {part.papers.shard}"
    leave = "Leave it out, or name the run that it belongs to"
    changed = changed_settings(recipe, part.folder)
    if changed:
        raise RunError(f"{shard} was done by another recipe than {folder} has; where they differ:\n{changed}\n{leave}")
    inputs, own = read_inputs(folder), read_inputs(part.folder)
    differing = sorted(name for name in {**inputs, **own} if inputs.get(name) != own.get(name))
    if differing:
        raise RunError(f"{shard} was done with other inputs than {folder} has: {', '.join(differing)}. {leave}")


def _tell_twice(folder: Path, one: _Part, other: _Part) -> str:
    """Tell that one shard is there twice, and which of the two lies with the run."""
    told = f"{one.folder} and {other.folder} are both shard {one.papers.shard}, of this recipe and these inputs"
    place = (folder / SHARDS).resolve()
    inside = [part.folder for part in (one, other) if part.folder.parent == place]
    if len(inside) != 1:
        return f"{told}; keep one of them"
    outside = next(part.folder for part in (one, other) if part.folder != inside[0])
    return f"{told}; the run's own is {inside[0]}: leave out {outside}, or remove the run's own to take the other"


def _require_finished(folder: Path, parts: Sequence[_Part], names: Sequence[str]) -> list[str]:
    """Require that every shard is there and has done what any has done, and give those stages.

    Raises:
        RunError: naming the shards that are missing or not finished.
    """
    begun = {name for part in parts for name in part.done} & set(names)
    todo = [name for name in names if name in begun]
    of = parts[0].papers.of
    there = {part.papers.number: part for part in parts}
    lines = []
    for number in range(1, of + 1):
        part = there.get(number)
        left = [name for name in todo if part is None or name not in part.done]
        if left:
            what = "is missing" if part is None else f"({part.folder}) has not finished {', '.join(left)}"
            lines.append(f"  shard {Shard(of, number)} {what}: {shard_command(folder, Shard(of, number))}")
    if lines:
        raise RunError(f"{folder}: not all of {of} shards are finished; run them first:\n" + "\n".join(lines))
    return todo


def _verify(folder: Path, parts: Sequence[_Part], todo: Sequence[str]) -> None:
    """Verify that nobody is at work on shards, that they rest on what their run has, and share no row.

    Raises:
        RunError: naming the shard that is not so.
    """
    now: dict[str, dict[str, str]] = {}
    for part in parts:
        if part.folder.parent.parent != folder.resolve() and (holder := holder_of(part.folder)):
            raise RunError(f"{part.folder}: {holder} is at work on this shard; wait for it")
        for name, found in part.papers.brought.items():
            if name not in now:
                now[name] = fingerprints(folder, name)
            changed = sorted(path for path in {**found, **now[name]} if found.get(path) != now[name].get(path))
            if changed or not (folder / "stages" / f"{name}.json").exists():
                raise RunError(
                    f"{part.folder}: rests on another {changed[0] if changed else name} than {folder} has now. Run the "
                    f"shard again: {shard_command(folder, part.papers.shard)}"
                )
    _require_no_overlap(parts, todo)


def _require_no_overlap(parts: Sequence[_Part], todo: Sequence[str]) -> None:
    """Require that no row of these stages was done by two shards."""
    found = find_overlap([part.folder / "journal.sqlite" for part in parts], todo)
    if found is not None:
        one, other = (journal.parent for journal in found.journals)
        raise RunError(f"{one} and {other} both did row {found.row} of {found.stage!r}; remove one of them")


def _finish(run: Run, parts: Sequence[_Part], todo: Sequence[str]) -> Merged:
    taken: list[Absorbed] = []

    def take_in() -> None:
        for part in parts:
            run.check_stop()
            taken.append(absorb(run.journal, part.folder / "journal.sqlite", source=part.papers.source, stages=todo))

    mapper = RecallMapper(run.journal, run.folder, parts[0].papers.of if parts else 1)
    with from_records(run, mapper, _capabilities(parts)):
        finish_stages(run, todo, take_in)
    return Merged(
        tuple(todo),
        len(parts),
        sum(one.n_completions for one in taken),
        sum(one.n_rows for one in taken),
        sum(one.n_damaged for one in taken),
    )


def _capabilities(parts: Sequence[_Part]) -> Mapping[str, Sequence[Capability]]:
    """Gather what the models could do that any shard asked."""
    found: dict[str, set[Capability]] = defaultdict(set)
    for part in parts:
        for model, capabilities in part.papers.capabilities.items():
            found[model] |= set(capabilities)
    return {model: sorted(capabilities) for model, capabilities in found.items()}
