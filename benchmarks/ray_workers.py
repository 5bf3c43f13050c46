"""Rows by two Ray actors against one process, where a model takes its time: what handing rows out costs.

    python -m benchmarks.ray_workers [--rows 10000] [--actors 2] [--at-once 16] [--latency-ms 50] [--rounds 5]

A row makes one call, to the scripted engine after a wait that stands for a server's latency; calls and ends of rows are
recorded in journals on disk, as in a run. A process has so many rows under way at once, be it an actor or the only one:
so the limit is its ``--at-once`` divided by the latency, of which each side shows its share. Beside it, *one process,
all at once* has as many rows under way as all actors together: where that is as fast, one process does, and actors
are for what one process cannot hold.

``ratio`` is rows per second of the actors against one process. The cluster is one of this machine alone; to start it
and its actors is timed on no side.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from benchmarks.measuring import Clock, Sample, Workload, finish, flags, interleave, result, speed_up
from benchmarks.overhead import make_prompts
from charter.engines.base import CompletionRequest, Engine, Sampling
from charter.recipe import load_recipe
from charter.records import Prompt, Scored
from charter.rows import Mapped
from charter.runs.folder import open_run
from charter.scale.mapper import on_ray

RECIPE = """\
name: ray-workers
constitution: harmless
models: {policy: {name: ray-workers, engine: scripted}}
"""

Mapper = Callable[..., Mapped[Any]]


@contextmanager
def sides(prompts: Sequence[Prompt], n_actors: int, at_once: int, latency: float) -> Iterator[dict[str, Workload]]:
    """Open a run and its actors, and give the sides."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "recipe.yaml"
        path.write_text(RECIPE, "utf-8")
        recipe = load_recipe(path, [f"ray.n_actors={n_actors}", f"ray.rows_per_actor={at_once}"])
        with open_run(recipe, Path(place) / "run", recipe_text=RECIPE) as run:
            here = cast("Mapper", run.mapper)
            alone = run.pool.engine("policy")
            with on_ray(run):
                there = cast("Mapper", run.mapper)
                side = partial(turns, prompts, latency=latency)
                yield {
                    "actors": side(run.pool.engine("policy"), there, "actors", n_actors * at_once),
                    "one process": side(alone, partial(here, n_in_flight=at_once), "one", at_once),
                    "one process, all at once": side(
                        alone, partial(here, n_in_flight=n_actors * at_once), "all", n_actors * at_once
                    ),
                }


def turns(
    prompts: Sequence[Prompt], engine: Engine, mapper: Mapper, name: str, n_at_once: int, *, latency: float
) -> Workload:
    """Make a side: every turn asks of each row what was not asked before."""

    def turn(number: int) -> Sample:
        async def one(prompt: Prompt) -> Scored:
            await asyncio.sleep(latency)
            request = CompletionRequest(text=f"{name} {number} {prompt.id}", sampling=Sampling(temperature=0.0))
            completion = await engine.complete(request)
            return Scored(id=prompt.id, model=name, logprob=0.0, n_tokens=completion.n_completion_tokens)

        with Clock() as clock:
            mapped = mapper(one, prompts, f"{name}/{number}", result=Scored)
        if len(mapped.done) != len(prompts):
            raise RuntimeError(f"{len(mapped.done)} of {len(prompts)} rows were done: {mapped.reasons}")
        least = len(prompts) * latency / n_at_once
        return Sample(clock.seconds, len(prompts), sum(row.n_tokens for row in mapped.done), least)

    return turn


def summarise(samples: Mapping[str, Sequence[Sample]], *, n_actors: int, at_once: int) -> dict[str, Any]:
    """Make the figures out of the rounds."""
    together = speed_up(samples["one process, all at once"], samples["one process"])
    return result(
        "ray_workers",
        speed_up(samples["actors"], samples["one process"]),
        samples,
        ratio_is="rows/s of the actors / of one process with as many rows at once as one actor",
        rows=samples["actors"][0].n_rows,
        actors=n_actors,
        at_once=at_once,
        ratio_all_at_once=together.ratio,
    )


def main() -> None:
    parser = flags(__doc__, model=False)
    parser.add_argument("--rows", type=int, default=10_000, help="scripted rows")
    parser.add_argument("--actors", type=int, default=2, help="Ray actors")
    parser.add_argument("--at-once", type=int, default=16, help="rows under way at once in each process")
    parser.add_argument("--latency-ms", type=float, default=50.0, help="what a call takes")
    given = parser.parse_args()
    prompts = make_prompts(given.rows)
    with sides(prompts, given.actors, given.at_once, given.latency_ms / 1e3) as workloads:
        samples = interleave(workloads, given.rounds)
    finish(summarise(samples, n_actors=given.actors, at_once=given.at_once), samples)


if __name__ == "__main__":
    main()
