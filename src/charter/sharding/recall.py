"""Stages done from what is recorded alone: no model is loaded and none is asked."""

from __future__ import annotations

import contextlib
import shlex
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

from charter.engines.base import Capability
from charter.engines.pool import Pool
from charter.engines.specs import ModelSpec
from charter.engines.unasked import UNASKED, Unasked
from charter.errors import RunError, TooManyFailures
from charter.journal.records import FORGOTTEN, Outcome
from charter.journal.results import RecordedResults
from charter.journal.store import Journal
from charter.rows import Filtered, Mapped, ResultT, RowMapper, RowT, allowed_failures
from charter.runs.folder import Run
from charter.runs.place import RESOLVED
from charter.runs.roles import role_specs
from charter.sharding.papers import model_key
from charter.sharding.shard import Shard, shard_of

_ALL: tuple[Capability, ...] = get_args(Capability)
_SHOWN = 5
_DONE = Outcome("done", "")  # one for all: no result is held


class MissingRows(RunError):  # noqa: N818 - reads as what is told
    """Rows of which nothing is recorded."""


class RecallMapper:
    """A mapper that gives what is recorded of every row, failed ones included, and runs none.

    Args:
        journal: what is recorded.
        run: the run's folder, and
        of: how many shards it has: a missing row is named with the shard that it belongs to.
    """

    def __init__(self, journal: Journal, run: Path, of: int) -> None:
        self._journal = journal
        self._run = run
        self._of = of

    def __call__(
        self,
        fn: Callable[[RowT], Awaitable[ResultT | Filtered]],
        rows: Sequence[RowT],
        stage: str,
        *,
        result: type[ResultT],
        n_whole: int | None = None,
    ) -> Mapped[ResultT]:
        """Recall the rows.

        Raises:
            MissingRows: naming the rows of which nothing is recorded.
            TooManyFailures: where more rows failed than may.
        """
        del fn
        wanted = {row.id for row in rows}
        recorded = ((row, end) for row, end in self._journal.walk(stage) if row in wanted and end.payload != FORGOTTEN)
        ends = {row: _DONE if end.status == "done" else end for row, end in recorded}
        missing = [row for row in rows if row.id not in ends]
        if missing:
            raise MissingRows(self._tell(missing, len(rows), stage))
        ids = [row.id for row in rows]
        done = [row for row in ids if ends[row].status == "done"]
        filtered = {row: ends[row].payload for row in ids if ends[row].status == "filtered"}
        failed = {row: ends[row].payload for row in ids if ends[row].status == "failed"}
        if len(failed) > max(allowed_failures(len(rows), n_whole=n_whole), 0):
            row, reason = next(iter(failed.items()))
            raise TooManyFailures(
                f"{stage}: {len(failed)} of {len(rows)} rows failed, more than may. The first: {row}: {reason}. Mend "
                "the cause and run the shards again, which try them again; then merge."
            )
        return Mapped(RecordedResults(self._journal, stage, done, result), filtered, failed, n_resumed=len(ids))

    def _tell(self, missing: Sequence[RowT], n_rows: int, stage: str) -> str:
        by_shard: dict[int, list[str]] = defaultdict(list)
        for row in missing:
            by_shard[shard_of(row, self._of)].append(row.id)
        lines = []
        for number, rows in sorted(by_shard.items()):
            some = ", ".join(rows[:_SHOWN]) + (f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else "")
            lines.append(f"  shard {Shard(self._of, number)}: {some}")
        again = Shard(self._of, min(by_shard))
        return (
            f"{self._run}: of {n_rows} rows of {stage!r} {len(missing)} are recorded nowhere:\n"
            + "\n".join(lines)
            + "\n"
            f"Run these shards again, and then merge again: {shard_command(self._run, again)}"
        )


def merge_command(run: Path) -> str:
    """Write the command that merges the shards of a run."""
    return shlex.join(["charter", "merge", str(run)])


def shard_command(run: Path, shard: Shard | str) -> str:
    """Write the command that does a shard of a run."""
    return shlex.join(["charter", "run", str(run / RESOLVED), "--out", str(run), "--shard", str(shard)])


@contextlib.contextmanager
def from_records(run: Run, mapper: RowMapper, capabilities: Mapping[str, Sequence[Capability]]) -> Iterator[None]:
    """Let a run's stages recall their rows with a mapper, for as long as the context lasts.

    Args:
        run: the run, open.
        mapper: a ``RecallMapper``, or a part of one.
        capabilities: what each model can do (see ``Papers``); on that it may depend which rows there are.
    """
    before = run.pool, run.mapper

    def make(spec: ModelSpec, _reply: object) -> Unasked:
        able = frozenset(capabilities.get(model_key(spec), _ALL))
        return Unasked(f"{UNASKED}{spec.label}", able, "where only records count")

    run.pool, run.mapper = Pool(role_specs(run.recipe), run.memory, make=make), mapper
    try:
        yield
    finally:
        run.pool, run.mapper = before
