"""A run's rows mapped by Ray actors: ``map_rows`` as ever, with a row function that sends each row to one of them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from charter.engines.pool import Pool, Reply
from charter.engines.specs import ModelSpec
from charter.engines.usage import KindUsage, Usage
from charter.errors import ClusterError
from charter.journal.records import Outcome
from charter.journal.results import read_result
from charter.recipe.stages import ASKING_STAGES, parted
from charter.rows import Filtered, Identified, Mapped, ResultT, RowMapper, RowT
from charter.runs.folder import Run
from charter.runs.roles import role_specs
from charter.scale.cluster import cluster
from charter.scale.crew import Crew
from charter.scale.hiring import Ground
from charter.scale.member import Lost, Member, Work
from charter.scale.stand_ins import EngineName, StandIn, found_from_anywhere, pack
from charter.sharding.shard import part_of

_POLL_SECONDS = 0.2
_UNEVEN = 8  # rows that an actor may have more than another, for prompts to stay with the actor that knows them
_MOST_LOST = 5  # actors, while they did the same row


@contextlib.contextmanager
def on_ray(
    run: Run, *, note: Callable[[str], None] = lambda _: None, answers_of: Sequence[Path] = ()
) -> Iterator[None]:
    """Let Ray actors do the rows of a run's stages, for as long as the context lasts.

    Args:
        run: the run, open.
        note: told of actors that were lost.
        answers_of: folders of other runs, from which answers to the same questions are taken over.

    Raises:
        ClusterError: where there is no cluster, or it has not what is asked of it.
    """
    before = run.pool, run.mapper
    with cluster(run.recipe.ray):
        others = tuple(folder / "journal.sqlite" for folder in answers_of)
        ground = Ground(
            folder=run.folder,
            journal=run.journal,
            settings=run.recipe.ray,
            spending=run.spending,
            stop=run.stop,
            note=note,
            stage=lambda: run.stage,
            others=others,
            on_retry=run.pool.on_retry,
            n_models=run.recipe.memory.models_at_once,
        )
        crew = Crew(ground)
        numbers = itertools.count()
        known = run.pool.met

        def make(spec: ModelSpec, reply: Reply | None) -> StandIn | None:
            if parted(run.stage).stage in ASKING_STAGES:
                return None
            if spec.has_weights and pool.on_load is not None:
                pool.on_load(spec.label)
            met = known.get(spec.served_as)
            asked = KindUsage() if met is None else met.asked
            if met is not None:
                met = known[spec.served_as] = replace(met, asked=KindUsage())  # it is counted here, and once
                run.spending.count(spec.label, asked.n_prompt_tokens, asked.n_completion_tokens)
            name = EngineName(next(numbers), found_from_anywhere(spec), reply, met, spec.label)
            opened = crew.open_engine(name)
            return StandIn(name, opened.identity, opened.capabilities, crew, Usage(complete=asked))

        most, spending = run.recipe.memory.models_at_once, run.spending
        pool = Pool(role_specs(run.recipe), run.memory, spending=spending, most=most, stop=run.stop, make=make)
        pool.on_load, pool.on_rest = run.pool.on_load, crew.dismiss
        pool.met, pool.on_meet, pool.on_retry = known, run.pool.on_meet, run.pool.on_retry
        run.pool, run.mapper = pool, RayMapper(crew, run.mapper)
        try:
            yield
        finally:
            run.pool, run.mapper = before
            pool.close()


class RayMapper:
    """A mapper that has each row done by one of a crew's actors.

    Args:
        crew: the actors.
        mapper: ``map_rows``, bound to the run.
    """

    def __init__(self, crew: Crew, mapper: RowMapper) -> None:
        self._crew = crew
        self._map = cast("Callable[..., Mapped[Any]]", mapper)
        self._numbers = itertools.count(1)

    def __call__(
        self,
        fn: Callable[[RowT], Awaitable[ResultT | Filtered]],
        rows: Sequence[RowT],
        stage: str,
        *,
        result: type[ResultT],
        n_whole: int | None = None,
    ) -> Mapped[ResultT]:
        """Map the rows; an empty stage, or one that is recorded, needs no actor.

        Raises:
            ClusterError: where the function cannot be sent, or no actor is left.
            CharterError: as ``map_rows``.
        """
        sending = _Sending(self._crew, stage, fn, next(self._numbers))

        async def one(row: RowT) -> ResultT | Filtered:
            end = await sending.do(row)
            return Filtered(end.payload) if end.status == "filtered" else read_result(stage, row.id, end, result)

        n_in_flight = self._crew.n_actors * self._crew.rows_ahead
        try:
            return self._map(one, rows, stage, result=result, n_in_flight=n_in_flight, n_whole=n_whole)
        except BaseException:
            self._crew.give_up_rows()
            raise
        finally:
            self._crew.end_work()


class _Sending:
    """The rows of one mapping on their way."""

    def __init__(self, crew: Crew, stage: str, fn: object, number: int) -> None:
        self._crew = crew
        self._stage = stage
        self._fn = fn
        self._number = number
        self._beginning = asyncio.Lock()
        self._has_begun = False
        self._freed = asyncio.Event()

    async def do(self, row: Identified) -> Outcome:
        """Have a row done by one actor after another, until one lives to see its end.

        Raises:
            ClusterError: where the row takes actor after actor with it, or none is left.
            CharterError: the row's own.
        """
        await self._begin()
        for _ in range(_MOST_LOST):
            member = await self._seat(row)
            try:
                end = await member.do(row)
            except Lost as error:
                self._crew.bury(member, str(error))
                last = str(error)
                recorded = (await self._crew.ends_of(member)).get(row.id)
                if recorded is not None and recorded.status != "failed":
                    return recorded
            else:
                self._crew.note_done()
                self._crew.count_spending()
                return end
            finally:
                self._freed.set()
        raise ClusterError(
            f"{self._stage}: {_MOST_LOST} actors were lost while they did row {row.id}. The last: {last}. Where it "
            "takes too much memory, give each actor more (ray.cpus_per_actor) or fewer rows at once "
            "(ray.rows_per_actor); then run the same command again: what was recorded is kept"
        )

    async def _begin(self) -> None:
        """Give the actors the work, when the first row comes: a mapping whose rows are all recorded sends none."""
        async with self._beginning:
            if not self._has_begun:
                import ray

                packed = ray.put(pack(self._fn))
                await self._crew.begin(Work(self._number, self._stage, packed))
                self._has_begun = True

    async def _seat(self, row: Identified) -> Member:
        """Wait for an actor with a place for the row: the one that knows its prompt, if that is not too busy."""
        while True:
            self._crew.look()
            free = [one for one in self._crew.members if one.is_at_hand and one.load < self._crew.rows_ahead]
            if free:
                idle = min(free, key=lambda one: one.load)
                own = self._crew.members[part_of(row, len(self._crew.members), "actor")]
                return own if own in free and own.load <= idle.load + _UNEVEN else idle
            self._freed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._freed.wait(), _POLL_SECONDS)
