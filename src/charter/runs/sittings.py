"""What a stage took over all its sittings: time, calls and tokens, kept in the journal while it is at work."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from charter.errors import BudgetSpent, JournalError
from charter.runs.folder import Run
from charter.runs.roles import model_specs
from charter.runs.spent import money_of
from charter.runs.tally import Tally

#: A sitting that is killed loses this much of its tally at most.
_KEEP_EVERY_SECONDS = 1.0


def tally_so_far(run: Run, name: str) -> Tally:
    """Recall what a stage took in all sittings before, here and in what was taken in from elsewhere."""
    taken = (Tally.from_json(kept) for kept in run.journal.taken_tallies(name).values())
    return sum(taken, _tally_here(run, name))


def _tally_here(run: Run, name: str) -> Tally:
    """Recall what a stage took in all sittings in this folder; a damaged record counts as nothing."""
    kept = run.journal.tally(name)
    return Tally() if kept is None else Tally.from_json(kept)


def was_begun(kept: str | None) -> bool:
    """Tell from a stage's tally, as the journal has it, whether work on the stage began and was not undone since."""
    return kept is not None and not Tally.from_json(kept).is_undone


def undo_tally(run: Run, name: str) -> None:
    """Note that what a stage made is undone; what it took stays."""
    before = _tally_here(run, name)
    if before != Tally():
        run.journal.keep_tally(name, before.model_copy(update={"is_undone": True}).to_json())


@contextlib.contextmanager
def sitting(run: Run, name: str) -> Iterator[None]:
    """Add what is done in this context to a stage's tally, however it ends; the pool rests at its end."""
    before, started, specs = _tally_here(run, name), time.monotonic(), model_specs(run.recipe).values()
    stopped = ""
    run.stage = name

    def keep() -> None:
        used = run.pool.usage
        now = Tally(seconds=time.monotonic() - started, usage=used, money=money_of(specs, run.spending, used))
        run.journal.keep_tally(name, (before + now).model_copy(update={"stopped": stopped}).to_json())

    keep()  # from here on the stage is begun, also where it is killed before its first row
    try:
        with _repeating(keep):
            yield
    except BudgetSpent as error:
        stopped = str(error)
        raise
    finally:
        run.pool.rest()
        keep()
        run.pool.take_usage()
        run.stage = ""


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
