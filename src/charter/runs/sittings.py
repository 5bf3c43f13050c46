"""What a stage took over all its sittings: time, calls and tokens, kept in the journal while it is at work."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import Field

from charter.engines.usage import Usage
from charter.errors import JournalError
from charter.records import Record
from charter.runs.folder import Run

#: A sitting that is killed loses this much of its tally at most.
_KEEP_EVERY_SECONDS = 5.0


class Tally(Record):
    """What a stage took so far: seconds of work, and calls and tokens by model.

    Of a stage that ``is_undone`` this is what it took before, which is not forgotten with what it made.
    """

    seconds: float = 0.0
    usage: dict[str, Usage] = Field(default_factory=dict)
    is_undone: bool = False

    def __add__(self, other: Tally) -> Tally:
        models = dict.fromkeys((*self.usage, *other.usage))
        usage = {model: self.usage.get(model, Usage()) + other.usage.get(model, Usage()) for model in models}
        return Tally(seconds=self.seconds + other.seconds, usage=usage)

    def columns(self) -> dict[str, Any]:
        """Give what a summary says of it."""
        usage = {model: _usage_columns(used) for model, used in self.usage.items()}
        return {"seconds": round(self.seconds, 3), "usage": usage}


def tally_so_far(run: Run, name: str) -> Tally:
    """Recall what a stage took in all sittings before; a damaged record counts as nothing."""
    kept = run.journal.tally(name)
    return Tally() if kept is None else Tally.from_json(kept)


def was_begun(kept: str | None) -> bool:
    """Tell from a stage's tally, as the journal has it, whether work on the stage began and was not undone since."""
    return kept is not None and not Tally.from_json(kept).is_undone


def undo_tally(run: Run, name: str) -> None:
    """Note that what a stage made is undone; what it took stays."""
    before = tally_so_far(run, name)
    if before != Tally():
        run.journal.keep_tally(name, before.model_copy(update={"is_undone": True}).to_json())


@contextlib.contextmanager
def sitting(run: Run, name: str) -> Iterator[None]:
    """Add what is done in this context to a stage's tally, however it ends; the pool is closed at its end."""
    before, started = tally_so_far(run, name), time.monotonic()

    def keep() -> None:
        now = Tally(seconds=time.monotonic() - started, usage=run.pool.usage)
        run.journal.keep_tally(name, (before + now).to_json())

    keep()  # from here on the stage is begun, also where it is killed before its first row
    try:
        with _repeating(keep):
            yield
    finally:
        run.pool.close()
        keep()
        run.pool.take_usage()


@contextlib.contextmanager
def _repeating(keep: Callable[[], None]) -> Iterator[None]:
    """Call a function now and then from a thread of its own, for as long as the context lasts."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(_KEEP_EVERY_SECONDS):
            with contextlib.suppress(JournalError):  # the stage's own records meet the same, and say it
                keep()

    thread = threading.Thread(target=repeat, name="charter-tally", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _usage_columns(used: Usage) -> dict[str, Any]:
    total = used.total.model_dump()
    kinds = used.model_dump()
    n_shared = kinds.pop("n_prompt_tokens_from_prefix")
    return {"n_cached": total.pop("n_hits"), **total, "n_prompt_tokens_from_prefix": n_shared, "kinds": kinds}
