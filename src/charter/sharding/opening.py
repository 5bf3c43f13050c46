"""A shard's run, opened: whoever comes first begins the run itself, and the others wait for it."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from charter.engines.base import Capability
from charter.engines.downloads import Progress as DownloadProgress
from charter.engines.http.probing import Known
from charter.engines.pool import Pool
from charter.engines.specs import ModelSpec
from charter.engines.spending import Budget, Spending
from charter.errors import Busy, Interrupted, RunError
from charter.journal.reading import RecordedAnswers
from charter.journal.store import Journal
from charter.pipeline import run_stages
from charter.progress import NoProgress, Progress
from charter.recipe import Recipe, load_recipe
from charter.recipe.stages import stages_until
from charter.runs.folder import Run, begun, check_files, check_place, open_run
from charter.runs.inputs import read_inputs
from charter.runs.place import RESOLVED, SHARDS, Place, held
from charter.runs.roles import model_specs
from charter.runs.spent import spending_so_far
from charter.runs.unmerged import (
    BySource,
    ShardTallies,
    name_shards,
    read_shard_tallies,
    read_tallies,
    read_unmerged,
    together,
)
from charter.runs.workers import take_in_workers
from charter.sharding.bringing import bring_in, stages_for_shards
from charter.sharding.papers import Papers, has_papers, model_key, read_papers, write_papers
from charter.sharding.recall import MissingRows, RecallMapper, from_records, merge_command
from charter.sharding.shard import Shard, ShardMapper
from charter.stages import map_stage

#: How long a shard waits for who is at work in the run's folder.
PATIENCE_SECONDS = 3600.0
_POLL_SECONDS = 0.2
DoneT = TypeVar("DoneT")


@dataclass(frozen=True)
class Outside:
    """What a shard's run is told from outside: see ``open_run``.

    ``on_wait`` is told once why the shard waits; ``on_load`` the name of each model that is loaded;
    ``on_meet`` and ``on_retry`` what a pool's are; ``known`` holds what servers were found to do.
    """

    recipe_text: str
    answers_of: Sequence[Path] = ()
    progress: Progress | None = None
    stop: threading.Event | None = None
    on_download: DownloadProgress | None = None
    on_load: Callable[[str], None] | None = None
    on_meet: Callable[[str], None] | None = None
    on_retry: Callable[[str], None] | None = None
    on_wait: Callable[[str], None] | None = None
    known: Known = field(default_factory=dict)
    patience: float = PATIENCE_SECONDS

    def tell(self, pool: Pool) -> None:
        """Have a pool tell what is told outside, and know what is known there."""
        pool.on_load, pool.on_meet, pool.on_retry = self.on_load, self.on_meet, self.on_retry
        pool.met = self.known


def do_shard(recipe: Recipe, folder: Path, shard: Shard, outside: Outside, *, until: str = "report") -> list[str]:
    """Do what a shard can do from what its run has done: its rows of every stage up to the next that needs all rows.

    Args:
        recipe: what is run.
        folder: of the whole run, which may not be there yet.
        shard: which part of the prompts is done.
        outside: what it is told from outside.
        until: the last stage to do.

    Returns:
        The stages that are done by this shard now; none where the run's next stage needs all rows.

    Raises:
        Busy: where another process is at work on the shard, or on the run for longer than is waited.
        RunError: where the folder belongs to another recipe or other inputs, or something in it is damaged.
        Interrupted: where it was stopped; the same call continues it.
    """
    begin_run(recipe, folder, outside)
    if not _stages_until(folder, until):
        return []
    with open_shard(recipe, folder, shard, outside) as run:
        # Only now: what was left may have been merged, or undone, while the shard waited for the run.
        todo = _stages_until(folder, until)
        _hold_to_records(run, folder, shard, todo)
        run_stages(run, todo)
    return todo


def _stages_until(folder: Path, until: str) -> list[str]:
    """Name the stages that shards can do from what a run has done, up to the last that is wanted."""
    wanted = stages_until(load_recipe(folder / RESOLVED), until)
    return [name for name in stages_for_shards(folder) if name in wanted]


def begin_run(recipe: Recipe, folder: Path, outside: Outside) -> None:
    """Choose the prompts of a run, where that is not done; whoever comes later waits for whoever came first."""
    prompts = folder / "stages" / "prompts.json"

    def begin() -> None:
        if prompts.exists():
            return
        with open_run(
            recipe,
            folder,
            recipe_text=outside.recipe_text,
            answers_of=outside.answers_of,
            progress=outside.progress,
            stop=outside.stop,
            on_download=outside.on_download,
        ) as run:
            (folder / SHARDS).mkdir(exist_ok=True)  # from here on the run is one that is done in shards
            outside.tell(run.pool)
            run_stages(run, ["prompts"])

    if not prompts.exists():
        _in_turn(begin, outside)
    check_place(recipe, folder)
    check_files(recipe, folder)


@contextlib.contextmanager
def open_shard(recipe: Recipe, folder: Path, shard: Shard, outside: Outside) -> Iterator[Run]:
    """Open the folder of a shard, with what the run has done brought in, and a mapper that does the shard's rows alone.

    The run's folder is held until the shard's is, and nobody opens a run while a shard of it is held: what a shard
    rests on does not change under it.
    """
    place = shard.folder(folder)
    with contextlib.ExitStack() as opened:
        at, shards = _in_turn(lambda: _hold(recipe, folder, shard, opened), outside)
        memories = [RecordedAnswers(folder / "journal.sqlite", is_left_alone=True)]
        memories += [RecordedAnswers(other / "journal.sqlite") for other in outside.answers_of]
        run = opened.enter_context(
            begun(
                recipe,
                place,
                at,
                recipe_text=outside.recipe_text,
                others=[opened.enter_context(memory) for memory in memories],
                progress=outside.progress or NoProgress(),
                stop=outside.stop,
                on_download=outside.on_download,
            )
        )
        _require_same_inputs(folder, place)
        if not has_papers(place):
            write_papers(place, Papers(number=shard.number, of=shard.of, key=uuid.uuid4().hex))
        papers = bring_in(run, folder, read_papers(place))
        outside.tell(run.pool)
        run.pool.on_open = _noting(place)
        run.mapper = ShardMapper(shard, run.mapper)
        run.spending.budget = _share(run, folder, papers, shards)
        yield run


def _hold(recipe: Recipe, folder: Path, shard: Shard, opened: contextlib.ExitStack) -> tuple[Place, list[ShardTallies]]:
    """Hold a shard's folder, while nobody is at work in the run's; and see what shards took of a budget."""
    with held(folder):
        shards = read_shard_tallies(folder) if recipe.budget.is_set else []
        for one in shards:
            if one.holder and one.papers.of != shard.of:
                raise Busy(
                    f"{one.folder}: {one.holder} is at work on this shard of another division, on the same budget; "
                    "wait for it"
                )
        with contextlib.ExitStack() as own:  # let go of where the run is not ready: this is tried again
            at = own.enter_context(held(shard.folder(folder)))
            # What a killed process left in the journal's log goes to its place, where every shard can read it.
            with Journal(folder / "journal.sqlite") as journal:
                take_in_workers(journal, folder)
                _require_one_division(folder, journal, shard)
            opened.push(own.pop_all())
    return at, shards


def _require_one_division(folder: Path, journal: Journal, shard: Shard) -> None:
    """Require that no shard of another division has done, or does, rows that this one would do again.

    Raises:
        RunError: naming the shards, and what to do.
    """
    unmerged = read_unmerged(folder, journal, stages_for_shards(folder))
    others = [one for one in unmerged if one.papers.of != shard.of]
    if others:
        of = others[0].papers.of
        raise RunError(
            f"{folder}: shards of another division did rows that are not merged, and that shard {shard} would do "
            f"again: {name_shards(others)}. Go on with --shard K/{of}, and merge: "
            f"{merge_command(folder)}. To divide it anew, remove {folder / SHARDS}/*-of-{of}"
        )


def _in_turn(do: Callable[[], DoneT], outside: Outside) -> DoneT:
    """Do something once nobody else is at work in the folder.

    Raises:
        Busy: where that takes longer than is waited.
        Interrupted: where it was stopped.
    """
    end = time.monotonic() + outside.patience
    told = False
    while True:
        try:
            return do()
        except Busy as error:
            if time.monotonic() >= end:
                raise Busy(f"{error} (waited {outside.patience:.0f} s)") from error
            if not told and outside.on_wait is not None:
                outside.on_wait(str(error))
            told = True
        if outside.stop is not None and outside.stop.wait(_POLL_SECONDS):
            raise Interrupted("stopped while it waited; run the same command again to continue")
        if outside.stop is None:
            time.sleep(_POLL_SECONDS)


def _require_same_inputs(folder: Path, place: Path) -> None:
    """Require that a shard finds the models that its run began with; its files were looked at."""
    whole, own = (read_inputs(one) for one in (folder, place))
    differing = sorted(name for name in {**whole, **own} if whole.get(name) != own.get(name))
    if differing:
        raise RunError(
            f"{place}: found other inputs than {folder} began with: {', '.join(differing)}; give it the same"
        )


def _noting(place: Path) -> Callable[[ModelSpec, frozenset[Capability]], None]:
    """Make what notes in a shard's papers what a model can do."""

    def note(spec: ModelSpec, capabilities: frozenset[Capability]) -> None:
        papers = read_papers(place)
        known = papers.capabilities | {model_key(spec): tuple(sorted(capabilities))}
        if known != papers.capabilities:
            write_papers(place, papers.model_copy(update={"capabilities": known}))

    return note


def _share(run: Run, folder: Path, papers: Papers, shards: Sequence[ShardTallies]) -> Budget:
    """Give a shard its part of the budget: of what is left of it in the run, each shard may spend the same.

    Spent is what the run took in from shards, and what shards of other divisions took that is not merged; of that, what
    this shard itself spent is on its own account too. What shards of this division took since is out of their parts.
    """
    whole, taken = read_tallies(folder)

    def spending(tallies: Iterable[str]) -> Spending:
        return spending_so_far(run.recipe, model_specs(run.recipe).values(), tallies)

    def merged(source: str) -> BySource:
        return {key: kept for key, kept in taken.items() if key[0] == source}

    every = spending([*whole, *together(taken, [one for one in shards if one.papers.of != papers.of]).values()])
    since = []
    for one in (one for one in shards if one.papers.of == papers.of):
        before = merged(one.papers.source)
        then, now = spending(before.values()), spending(together(before, [one]).values())
        since.append(Spending(money=now.money - then.money, tokens=now.tokens - then.tokens))
    part = f" (this shard's part of it, one of {papers.of})"
    return every.budget.divide(every, spending(merged(papers.source).values()), papers.of, part, since)


def _hold_to_records(run: Run, folder: Path, shard: Shard, names: Sequence[str]) -> None:
    """Do a stage again that is done here, where rows of it are recorded no more: their records were damaged."""
    papers = read_papers(run.folder)
    for name in papers.own_stages(run.folder, names):
        recalling = ShardMapper(shard, RecallMapper(run.journal, folder, shard.of))
        with from_records(run, recalling, papers.capabilities):
            try:
                map_stage(run, name)
            except MissingRows:
                run.summary(name).unlink()
