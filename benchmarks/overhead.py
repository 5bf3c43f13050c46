"""The framework's own cost per row: revision over scripted rows, with the journal, where the model takes no time.

    python -m benchmarks.overhead [--rows 2000] [--revision-rounds 2] [--rounds 5]

What is timed is what a run does with each row: its function is run beside others, the answers and the row's end are
recorded in the journal (on disk, flushed), and results are read back from it. By turns with it: the *bare rows*, the
same row functions awaited one after the other, with the same scripted engine and without journal, cache and mapping:
requests made, answers drawn, texts flagged. They are of the first ``--bare-rows`` rows.

``ratio`` is the aim of 1 ms divided by ``ms_per_row_own``, what journal and orchestration add to a row: the wall time
per row less that of a bare row; above 1 the aim is met. ``ms_per_row`` is the whole wall time and ``ratio_whole`` the
same of it, ``ms_of_rounds`` are the rounds' own. ``cpu_ms_per_row`` is the whole in processor time, which neighbours
on the machine inflate less. ``growth_bytes_per_row`` is what the process keeps per row after the first round,
``peak_mb`` the most that it held at any time, with what this benchmark itself holds: all prompts, and the results of
``--bare-rows`` rows.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil  # comes with accelerate

from benchmarks.measuring import Clock, Sample, SpeedUp, Workload, finish, flags, interleave, median, result
from charter.constitution import load_constitution
from charter.engines.base import CompletionRequest, Engine
from charter.engines.cache import CachedEngine
from charter.engines.scripted import ScriptedEngine, draw_prose
from charter.journal.store import Journal
from charter.prompts import load_prompts
from charter.records import Prompt, Trace, make_prompt
from charter.revision import revise
from charter.rows import Mapped, RowMapper, map_rows

AIM_MS = 1.0
_BARE_ROWS = 2000  # the results of 100,000 rows would fill the memory that is measured
_KIBIBYTE = 1024
_TEXTS = tuple(draw_prose(f"overhead {number}") for number in range(256))


def make_prompts(n_rows: int) -> tuple[Prompt, ...]:
    """Make distinct prompts of ordinary length, ends varied."""
    texts = [prompt.text for prompt in load_prompts("built-in", "red_team").prompts]
    chance = random.Random(0)  # noqa: S311 - not a secret
    return tuple(make_prompt(f"{chance.choice(texts)} (case {number})", "red_team") for number in range(n_rows))


class Framework:
    """Revision as a run does it.

    Attributes:
        constitution: what the rows are revised by.
        traces: the first of what the last turn made.
    """

    def __init__(self, prompts: Sequence[Prompt], revision_rounds: int, n_bare: int = _BARE_ROWS) -> None:
        self._prompts = prompts
        self._rounds = revision_rounds
        self._n_bare = n_bare
        self.constitution = load_constitution("harmless")
        self.traces: tuple[Trace, ...] = ()

    def __call__(self, number: int) -> Sample:
        """Revise all rows into a new journal."""
        self.traces = ()  # so that no two turns are in memory at once
        engine, cpu = ScriptedEngine(_reply, script="overhead"), time.process_time()
        with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.sqlite") as journal:
            mapper = functools.partial(map_rows, journal=journal)
            with Clock() as clock:
                mapped = self.revise(len(self._prompts), CachedEngine(engine, journal), number, mapper)
                n_done = sum(1 for _ in mapped.done)
            cpu = time.process_time() - cpu
            if n_done != len(self._prompts):
                raise RuntimeError(f"{n_done} of {len(self._prompts)} rows were done: {mapped.reasons}")
            n_words = sum(len(text.split()) for trace in mapped.done for text in _texts(trace))
            self.traces = tuple(mapped.done[: self._n_bare])
        notes = {"resident_mb": _resident() / 2**20, "cpu_ms_per_row": 1e3 * cpu / len(self._prompts)}
        return Sample(clock.seconds, len(self._prompts), n_words, notes=notes)

    def revise(self, n_rows: int, engine: Engine, number: int, mapper: RowMapper) -> Mapped[Trace]:
        """Revise the first rows with a turn's seed."""
        prompts = self._prompts[:n_rows]
        return revise(prompts, self.constitution, engine, rounds=self._rounds, seed=number, mapper=mapper)


class BareRows:
    """The row functions of the framework's first rows, and nothing else.

    Attributes:
        traces: what the last turn made.
    """

    def __init__(self, framework: Framework, n_rows: int) -> None:
        self._framework = framework
        self._n_rows = n_rows
        self.traces: tuple[Trace, ...] = ()

    def __call__(self, number: int) -> Sample:
        """Do them."""
        engine = ScriptedEngine(_reply, script="overhead")
        with Clock() as clock:
            self.traces = tuple(self._framework.revise(self._n_rows, engine, number, one_by_one).done)
        n_words = sum(len(text.split()) for trace in self.traces for text in _texts(trace))
        return Sample(clock.seconds, len(self.traces), n_words)


def one_by_one(fn: Callable[[Any], Awaitable[Any]], rows: Sequence[Any], stage: str, **_: object) -> Mapped[Any]:
    """Await a row function for one row after the other; no more than that."""
    del stage

    async def do() -> tuple[Any, ...]:
        return tuple([await fn(row) for row in rows])

    return Mapped(asyncio.run(do()), {}, {})


def growth_per_row(samples: Sequence[Sample]) -> float:
    """Take what the process holds more of after the last round than after the first, in bytes per row between."""
    n_rows = sum(sample.n_rows for sample in samples[1:])
    return (samples[-1].notes["resident_mb"] - samples[0].notes["resident_mb"]) * 2**20 / n_rows if n_rows else 0.0


def summarise(samples: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
    """Make the figures out of the rounds: each round's ratio is the aim divided by what a row takes beside its own."""
    ours, bare = samples["framework"], samples["bare rows"]
    per_row = _per_row(ours)
    own = [whole - alone for whole, alone in zip(per_row, _per_row(bare), strict=True)]
    aims = [AIM_MS / figure for figure in own]
    found = SpeedUp(statistics.median(aims), min(aims), max(aims), len(aims))
    more = {
        "ratio_is": "1 ms aim / ms_per_row_own",
        "rows": ours[0].n_rows,
        "ms_per_row_own": statistics.median(own),
        "ms_per_row": statistics.median(per_row),
        "ratio_whole": AIM_MS / statistics.median(per_row),
        "ms_of_rounds": per_row,
        "ms_per_row_bare": statistics.median(_per_row(bare)),
        "cpu_ms_per_row": median(ours, "cpu_ms_per_row"),
        "growth_bytes_per_row": growth_per_row(ours),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIBIBYTE / 2**20,
    }
    figures = result("overhead", found, samples, **more)
    figures["limit_share"] = None  # no model runs, so that no limit of products or bandwidth applies
    return figures


def main() -> None:
    parser = flags(__doc__, model=False)
    parser.add_argument("--rows", "--n", type=int, default=2000, help="scripted rows")
    parser.add_argument("--revision-rounds", type=int, default=2, help="critiques and revisions per row")
    parser.add_argument("--bare-rows", type=int, default=_BARE_ROWS, help="rows that are done bare")
    given = parser.parse_args()
    framework = Framework(make_prompts(given.rows), given.revision_rounds, given.bare_rows)
    sides: dict[str, Workload] = {"framework": framework, "bare rows": BareRows(framework, given.bare_rows)}
    samples = interleave(sides, given.rounds)
    finish(summarise(samples), samples)


def _per_row(samples: Sequence[Sample]) -> list[float]:
    return [1e3 * one.seconds / one.n_rows for one in samples]


def _reply(request: CompletionRequest) -> str:
    return _TEXTS[request.sampling.seed % len(_TEXTS)]


def _texts(trace: Trace) -> list[str]:
    return [trace.initial, *(text for one in trace.rounds for text in (one.critique, one.revision))]


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main()
