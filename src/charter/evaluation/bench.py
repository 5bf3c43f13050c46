"""What the steps of an evaluation share, and how their rows ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from charter.records import Record
from charter.rows import Mapped, RowMapper

DoneT = TypeVar("DoneT", bound=Record)

_UNREADABLE = "no valid verdict"


@dataclass
class Bench:
    """What all steps share, the held-out prompts' groups by id among it, and how their rows ended so far."""

    base: str
    seed: int
    mapper: RowMapper
    groups: Mapping[str, str]
    n_in: int = 0
    n_done: int = 0
    filtered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def count(
        self, step: str, mapped: Mapped[DoneT], is_unreadable: Callable[[DoneT], bool] = lambda _: False
    ) -> tuple[DoneT, ...]:
        """Count the rows of a step, and give those done, of which some may have no verdict that could be read."""
        done = tuple(mapped.done)
        n_unreadable = sum(map(is_unreadable, done))
        self.n_in += mapped.n_in
        self.n_done += len(done) - n_unreadable
        for counts, reasons in ((self.filtered, mapped.reasons["filtered"]), (self.failed, mapped.reasons["failed"])):
            counts.update({f"{step}: {reason}": n for reason, n in reasons.items()})
        self.filtered.update({f"{step}: {_UNREADABLE}": n_unreadable} if n_unreadable else {})
        return done
