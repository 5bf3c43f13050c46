"""One actor, seen from the driver: how it is started, asked and ended, and what it took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.engines.spending import Budget
from charter.errors import ClusterError
from charter.journal.records import Outcome
from charter.recipe.settings import RaySettings
from charter.rows import Identified
from charter.scale.worker import Answer, Orders, Refused, Told, Worker

_SECONDS_TO_ANSWER = 3.0  # all actors together: a run that is stopped ends within ten
_SPARE_CALLS = 16  # beside rows: opening, counting, closing
_TOLD = 200  # characters: Ray says the cause first, and then all that it knows
_INSIDE_RAY = ("class_name:", "actor_id:", "name:", "namespace:")


@dataclass(frozen=True)
class Work:
    """A mapping's work as actors are given it: its number, the stage's name, and the row function, pickled."""

    number: int
    stage: str
    packed: Any


class Lost(Exception):  # noqa: N818 - reads as what happened
    """An actor that answers no more, and why."""


class Member:
    """An actor of a crew.

    Args:
        orders: what it is told at its start.
        settings: what it takes of the cluster.
        ahead: rows that it is given at once, at most.
        before: journals of those who had its part of the budget before, and were lost.

    Attributes:
        journal: the file of its journal.
        part: of the run's budget, as it was divided.
        before: see above.
        rows: the ids of those that it was given and has not answered.
        is_ready: whether it has said that it is there.
        is_limited: whether it knows what those before it have left of its part.
        knows: the number of the work that it was given last.
        told: what it took, as it told last.
    """

    def __init__(self, orders: Orders, settings: RaySettings, *, ahead: int, before: Sequence[Path] = ()) -> None:
        import ray

        self.journal = orders.journal
        self.part = orders.budget
        self.before = tuple(before)
        self.rows: set[str] = set()
        self.is_ready = False
        self.is_limited = not before or self.part.is_endless
        self.knows: int | None = None
        self.told = Told()
        options: dict[str, Any] = {
            "num_cpus": settings.cpus_per_actor,
            "num_gpus": settings.gpus_per_actor,
            "max_concurrency": ahead + _SPARE_CALLS,
            "max_restarts": 0,
            "max_task_retries": 0,
        }
        self._actor: Any = ray.remote(Worker).options(**options).remote(orders)
        # It is given work once it is there: by then that may be other work, and models closed that it would open now.
        self._first = [self.call("adopt", ())]

    @property
    def source(self) -> str:
        """The name under which is kept what it took: its journal's."""
        return self.journal.stem

    @property
    def load(self) -> int:
        """How many rows it was given and has not answered."""
        return len(self.rows)

    @property
    def is_at_hand(self) -> bool:
        """Whether it has answered all that comes before rows, as far as was seen (``look``)."""
        return not self._first

    def call(self, method: str, *arguments: object) -> Any:
        """Call a method of the worker; ``fetch`` gives what comes of it."""
        return getattr(self._actor, method).remote(*arguments)

    def fetch(self, answer: Any, seconds: float | None = None) -> Any:
        """Wait for what comes of a call.

        Raises:
            Lost: where the actor was lost, or takes longer.
            ClusterError: where the worker has a fault.
            CharterError: the worker's own.
        """
        import ray

        try:
            found = ray.get(answer, timeout=seconds)
        except ray.exceptions.RayTaskError as error:
            raise ClusterError(f"an actor failed: {error}") from error
        except ray.exceptions.RayError as error:
            raise Lost(_told(error)) from error
        if isinstance(found, Refused):
            raise found.error
        return found

    def look(self) -> bool:
        """Look whether it is at hand by now; raises as ``fetch`` does."""
        import ray

        while self._first and ray.wait(self._first[:1], timeout=0)[0]:
            self.fetch(self._first[0])
            self._first.pop(0)
        self.is_ready = self.is_ready or self.is_at_hand
        return self.is_at_hand

    def begin(self, work: Work) -> None:
        """Give it the work of a mapping, where it does not have it yet; it is at hand again once it has."""
        if self.knows != work.number:
            self.knows = work.number
            self._first.append(self.call("begin", work.number, work.stage, work.packed))

    def limit(self, budget: Budget) -> None:
        """Tell it what is left of its part of the budget, before it does a row."""
        self.is_limited = True
        self._first.append(self.call("limit", budget))

    def hear(self, told: Told | None) -> None:
        """Note what it says that it took; answers may come in any order."""
        if told is not None and told.number >= self.told.number:
            self.told = told

    def adopt(self, journal: Path) -> None:
        """Have it look into another's journal, which nobody writes any more, before it does another row."""
        self._first.append(self.call("adopt", (journal,)))

    async def do(self, row: Identified) -> Outcome:
        """Have a row of its work done.

        Raises:
            Lost: where the actor was lost.
            CharterError: the row's own.
        """
        import ray

        is_lost = False
        self.rows.add(row.id)
        try:
            answer: Answer | Refused = await self.call("do", self.knows, row)
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as error:
            is_lost = True  # and the row stays among those of which its journal may know the end
            raise Lost(_told(error)) from error
        finally:
            if not is_lost:
                self.rows.discard(row.id)
        if isinstance(answer, Refused):
            raise answer.error
        self.hear(answer.told)
        return answer.end

    def kill(self) -> None:
        """End it at once."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError, ValueError):
            ray.kill(self._actor)


def ask_all(members: Sequence[Member], method: str, *arguments: object) -> dict[Member, Any]:
    """Call a method of all workers at once; one that is lost, or does not answer soon, is left out."""
    answers = [(member, member.call(method, *arguments)) for member in members]
    end = time.monotonic() + _SECONDS_TO_ANSWER
    found = {}
    for member, answer in answers:
        with contextlib.suppress(Lost, ClusterError):
            found[member] = member.fetch(answer, seconds=max(end - time.monotonic(), 0.0))
    return found


def _told(error: BaseException) -> str:
    """Say in one line what Ray tells in many, of which some name what nobody can look up."""
    lines = (line.strip() for line in str(error).splitlines())
    text = " ".join(line for line in lines if line and not line.startswith(_INSIDE_RAY))
    if len(text) > _TOLD:
        text = f"{text[:_TOLD].rsplit(maxsplit=1)[0]} ..."
    return text or type(error).__name__
