"""A shard: a part of the prompts, with every row that comes of them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from charter.errors import UserError
from charter.rows import Filtered, Identified, Mapped, ResultT, RowMapper, RowT
from charter.runs.place import SHARDS
from charter.seeds import digest_text

#: More parts than this a run is not divided into.
MOST_SHARDS = 10_000
_WRITTEN = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True, order=True)
class Shard:
    """One of ``of`` parts of a run's prompts; ``number`` counts from 1."""

    of: int
    number: int

    @classmethod
    def read(cls, text: str) -> Shard:
        """Read a shard as it is written on the command line, such as ``3/16``.

        Raises:
            UserError: where it is not written so, or there is no such shard.
        """
        written = _WRITTEN.fullmatch(text.strip())
        if written is None:
            raise UserError(f"--shard is {text!r}; expected the shard's number and how many there are, such as 3/16")
        shard = cls(of=int(written[2]), number=int(written[1]))
        if not 1 <= shard.of <= MOST_SHARDS:
            raise UserError(f"--shard is {text!r}; a run is divided into 1 to {MOST_SHARDS} shards")
        if not 1 <= shard.number <= shard.of:
            raise UserError(f"--shard is {text!r}; shards are numbered from 1/{shard.of} to {shard.of}/{shard.of}")
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def folder(self, run: Path) -> Path:
        """Name the shard's folder in its run's."""
        width = len(str(self.of))
        return run / SHARDS / f"{self.number:0{width}}-of-{self.of}"

    def holds(self, row: Identified) -> bool:
        """Tell whether a row belongs to this shard (see ``shard_of``)."""
        return shard_of(row, self.of) == self.number


def shard_of(row: Identified, n: int) -> int:
    """Say which of ``n`` shards a row belongs to, counted from 1 (see ``part_of``).

    So what is done to a prompt in one stage after another, and in the steps of one stage, is done by one shard.
    """
    return part_of(row, n, "shard") + 1


def part_of(row: Identified, n: int, purpose: str) -> int:
    """Divide rows evenly into ``n`` parts, counted from 0: by their prompts' ids, those about no prompt by their own.

    One division tells nothing of another with another purpose: a shard's rows are spread over all of its actors.
    """
    prompt: Identified = getattr(row, "prompt", row)
    return int(digest_text(f"{purpose} {prompt.id}"), 16) % n


class ShardMapper:
    """A mapper that does the rows of one shard and passes over all others.

    Args:
        shard: whose rows are done.
        mapper: does them.
    """

    def __init__(self, shard: Shard, mapper: RowMapper) -> None:
        self._shard = shard
        self._map = mapper

    def __call__(
        self,
        fn: Callable[[RowT], Awaitable[ResultT | Filtered]],
        rows: Sequence[RowT],
        stage: str,
        *,
        result: type[ResultT],
        n_whole: int | None = None,
    ) -> Mapped[ResultT]:
        """Map the rows of the shard."""
        own = [row for row in rows if self._shard.holds(row)]
        return self._map(fn, own, stage, result=result, n_whole=len(rows) if n_whole is None else n_whole)
