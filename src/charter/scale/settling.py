"""The journals of lost actors: each is waited for beside the rows, until nobody writes it any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

from charter.errors import Busy
from charter.journal.records import Outcome
from charter.journal.store import Journal
from charter.runs.tally import Tally
from charter.runs.workers import Settled, settle_worker, take_in_worker

_AT_ONCE = 32
_LOOK_SECONDS = 0.02
_SECONDS_A_TRY = 0.5  # after which it is seen that nobody waits any more
_Ends = Mapping[str, Outcome]


class Settling:
    """Journals that are waited for, all at the same time, in threads: who asks for one is not held up by another.

    Args:
        seconds: how long each is waited for.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._threads: ThreadPoolExecutor | None = None
        self._is_over = Event()
        self._found: dict[Path, Future[Settled | None]] = {}
        self._untold: list[Path] = []

    def begin(self, path: Path, stage: str, rows: Collection[str]) -> None:
        """Wait for a journal from now on, and read then what was taken, and how these rows of a stage ended."""
        self._threads = self._threads or ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="charter-lost")
        end = time.monotonic() + self._seconds
        self._found[path] = self._threads.submit(self._settle, path, stage, tuple(rows), end)
        self._untold.append(path)

    async def ends(self, path: Path) -> _Ends:
        """Wait for a journal, and say how rows ended there: none where it is given up.

        Raises:
            JournalError: where it cannot be read.
        """
        found = self._found[path]
        # Rows that wait for one journal are cancelled one by one, and its thread may outlive the loop: no tie is best.
        while not found.done():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        settled = found.result()
        return {} if settled is None else settled.ends

    def waits_for(self, path: Path) -> bool:
        """Tell whether a journal's wait has not ended, as far as was told (``ended``)."""
        return path in self._untold

    def ended(self) -> Iterator[tuple[Path, Tally | None]]:
        """Name the journals whose wait has ended since this was last asked, and say what was taken there.

        None of one that somebody still holds, and that is waited for no longer.

        Raises:
            JournalError: where one cannot be read.
        """
        for path in [one for one in self._untold if self._found[one].done()]:
            self._untold.remove(path)
            settled = self._found[path].result()
            yield path, None if settled is None else settled.took

    def give_up(self) -> list[Path]:
        """Wait for none any more, and name them all."""
        self._is_over.set()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        found = list(self._found)
        self._threads, self._is_over, self._found, self._untold = None, Event(), {}, []
        return found

    def _settle(self, path: Path, stage: str, rows: tuple[str, ...], end: float) -> Settled | None:
        """Wait in a thread; what an actor never began holds nothing."""
        while path.exists():
            try:
                return settle_worker(path, seconds=_SECONDS_A_TRY, stage=stage, rows=rows)
            except Busy:
                if self._is_over.is_set() or time.monotonic() > end:
                    return None
        return Settled()


def take_in(
    journal: Journal, ended: Sequence[Path], left: Sequence[Path], *, seconds: float
) -> tuple[dict[Path, Tally], list[Path]]:
    """Take the journals of actors that have ended into their run's.

    Args:
        journal: of the run.
        ended: journals that are waited for.
        left: such as have been waited for before, and are not again.
        seconds: how long all together are waited for.

    Returns:
        Those that were taken in, with what was taken there; and those that somebody still holds.

    Raises:
        JournalError: where one cannot be read, or the run's cannot be written.
    """
    end = time.monotonic() + seconds
    took: dict[Path, Tally] = {}
    held = []
    for path in [*ended, *left]:
        try:
            if path.exists():
                patience = 0.0 if path in left else max(end - time.monotonic(), 0.0)
                took[path] = take_in_worker(journal, path, seconds=patience)
        except Busy:
            held.append(path)
    return took, held
