"""The actors of a stage: called when the first is needed, replaced when one is lost, dismissed when the stage ends."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from charter.engines.spending import Budget, Spending
from charter.engines.usage import Usage
from charter.errors import ClusterError, Interrupted
from charter.journal.records import Outcome
from charter.journal.store import Journal
from charter.recipe.settings import RaySettings
from charter.runs.place import WORKERS
from charter.scale.accounts import Accounts
from charter.scale.member import Lost, Member, Work, ask_all
from charter.scale.settling import Settling, take_in
from charter.scale.stand_ins import EngineName
from charter.scale.worker import Opened, Orders

_POLL_SECONDS = 0.05
# For so long the journal of a lost actor is waited for: a node that is cut off ends its actors by itself, and NFS keeps
# the locks of a machine that lost power for 90 s, unless it is told otherwise.
_PATIENCE_SECONDS = 120.0
_SECONDS_TO_LET_GO = 30.0  # of their journals, all actors together, once a stage has ended
_SECONDS_TO_BEGIN = 1.0  # who has a model to load first joins the others when it is there
_LOOK_SECONDS = 0.005
_LOST_PER_ACTOR = 5  # so many lost for each that is asked for, with no row done in between, and the crew is given up


@dataclass(frozen=True)
class Ground:
    """What a crew stands on.

    Args:
        folder: of the run; every actor sees it under this path.
        journal: of the run.
        settings: how many actors, and of what.
        spending: what calls to servers came to in the run.
        stop: set when the run is to stop.
        note: told what the person should know.
        others: journals of other runs, in which answers are looked for.
        n_models: models in an actor's memory at once, at most; None takes as many as fit.
    """

    folder: Path
    journal: Journal
    settings: RaySettings
    spending: Spending
    stop: Event
    note: Callable[[str], None]
    others: tuple[Path, ...] = ()
    n_models: int | None = None


class Crew:
    """The actors that do a stage's rows.

    An actor that was lost is replaced, and the others go on meanwhile. Its journal is waited for beside them; then its
    rows end as they ended there, or go to the others, who look into it for answers. One that somebody holds for too
    long is left, until the crew is dismissed or the run is opened again.

    Attributes:
        members: the actors that are there.
        n_actors: how many are asked for.
        rows_ahead: rows that an actor is given at once: some more than it does at once, so that no place is idle.
    """

    def __init__(self, ground: Ground) -> None:
        self.members: list[Member] = []
        self.rows_ahead = ground.settings.rows_per_actor + max(ground.settings.rows_per_actor // 4, 4)
        self.n_actors = ground.settings.n_actors
        self._ground = ground
        self._coming: list[Member] = []
        self._settling = Settling(_PATIENCE_SECONDS)
        self._at_rest: list[Path] = []
        self._left: list[Path] = []
        self._accounts = Accounts(ground.spending)
        self._work: Work | None = None
        self._n_lost_in_a_row = 0
        self._alone_since: float | None = None
        self._why = ""

    def open_engine(self, name: EngineName) -> Opened:
        """Have every actor open an engine, and give what it says of itself.

        Raises:
            ClusterError: where there are not as many actors as are asked for in time, or they are lost.
            Interrupted: where the run is to stop.
            CharterError: where the engine cannot be opened.
        """
        self._accounts.open(name)
        while True:
            for _ in self._gathering():
                self._ground.stop.wait(_POLL_SECONDS)
            found: Opened | None = None
            answers = [(one, one.call("open", name)) for one in self.members]
            self._wait_for([answer for _, answer in answers])
            for member, answer in answers:
                try:
                    found = member.fetch(answer)
                except Lost as error:
                    self.bury(member, str(error))
            if found is not None:
                return found

    def close_engine(self, name: EngineName) -> None:
        """Have every actor close an engine, and count what it took."""
        for member, usage in ask_all(self.members, "count", name.number).items():
            member.usage[name.number] = usage
        self.count_spending()
        ask_all(self.members, "close", name.number)  # which may take a while, and is waited for no longer than that

    def usage_of(self, name: EngineName) -> Usage:
        """Say what all actors took of an engine, those that were lost included, as far as they had told."""
        return self._accounts.usage_of(name, list(self.members))

    def count_spending(self) -> None:
        """Count for the run what calls to servers came to since this was last done."""
        self._accounts.count(list(self.members))

    async def begin(self, work: Work) -> None:
        """Give every actor the work of a mapping; raises as ``open_engine`` does."""
        self._work = work
        for _ in self._gathering():
            await asyncio.sleep(_POLL_SECONDS)
        for member in self.members:
            member.begin(work)
        end = time.monotonic() + _SECONDS_TO_BEGIN
        self.look()
        while not all(member.is_at_hand for member in self.members) and time.monotonic() < end:
            await asyncio.sleep(_LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Let actors that have come since take part, and the others know of journals that nobody writes any more.

        Raises:
            ClusterError: where none is there, and none comes in time.
            JournalError: where the journal of a lost one cannot be read.
        """
        self._share()
        for member in [*self.members, *self._coming]:
            try:
                if member.look() and member in self._coming:
                    self._coming.remove(member)
                    self.members.append(member)
                    if self._work is not None:
                        member.begin(self._work)
            except Lost as error:
                self.bury(member, str(error))
        self._require_some()

    def bury(self, member: Member, why: str) -> None:
        """Do without a lost actor, and call for another.

        Raises:
            ClusterError: where actor after actor is lost.
        """
        crew = self.members if member in self.members else self._coming
        if member not in crew:
            return
        crew.remove(member)
        self._accounts.keep(member)
        member.kill()
        self._settling.begin(member.journal, self._work.stage if self._work else "", member.rows)
        self._why, self._n_lost_in_a_row = why, self._n_lost_in_a_row + 1
        if member.is_ready:
            self._ground.note(f"an actor was lost; what it had recorded is kept, and another is called for: {why}")
        if self._n_lost_in_a_row >= _LOST_PER_ACTOR * self.n_actors:
            raise ClusterError(
                f"{self._n_lost_in_a_row} actors were lost one after another, and no row was done in between. The "
                f"last: {why}. Mend the cause and run the same command again: what was recorded is kept"
            )
        self._coming.append(self._hire(self._accounts.left_of(member)))

    async def ends_of(self, member: Member) -> Mapping[str, Outcome]:
        """Wait until nobody writes a lost actor's journal, and say how the rows ended in it that it was given last.

        Raises:
            JournalError: where it cannot be read.
        """
        found = await self._settling.ends(member.journal)
        self._share()
        return found

    def note_done(self) -> None:
        """Note that a row was done."""
        self._n_lost_in_a_row = 0

    def give_up_rows(self) -> None:
        """Have every actor leave the rows that are under way."""
        ask_all(self.members, "give_up")

    def dismiss(self) -> None:
        """End all actors, and take in what they recorded."""
        crew = [*self.members, *self._coming]
        ask_all(self.members, "end")
        for member in crew:
            member.kill()
        self.members, self._coming, self._work = [], [], None
        ended = [*(member.journal for member in crew), *self._settling.give_up()]
        self._at_rest, self._accounts = [], Accounts(self._ground.spending)
        self._n_lost_in_a_row, self._alone_since = 0, None
        self._left = take_in(self._ground.journal, ended, self._left, seconds=_SECONDS_TO_LET_GO)
        if self._left:
            self._ground.note(
                f"{len(self._left)} journals of actors are still held by somebody, and the stage is done without them: "
                f"{self._left[0]} is taken in when a later stage ends, or the same command is run again"
            )
        self._ground.journal.move_on()

    def _gathering(self) -> Iterator[None]:
        """Go on until all actors that are asked for are there, the first time; and until there is one, later."""
        n_wanted = 1
        if not self.members and not self._coming:
            n_wanted = self.n_actors
            self._ground.journal.hold_still()
            spending = self._ground.spending
            part = f" (an actor's part of it, one of {n_wanted})"
            budget = spending.budget.divide(spending, Spending(), n_wanted, part)
            self._coming = [self._hire(budget) for _ in range(n_wanted)]
        end = time.monotonic() + self._ground.settings.deadline_seconds
        while len(self.members) < n_wanted:
            yield
            self._check_stop()
            self.look()
            if len(self.members) < n_wanted and time.monotonic() > end:
                raise self._too_few(n_wanted)

    def _wait_for(self, answers: list[Any]) -> None:
        """Wait until all answers are there, for as long as models take to load, and as the run is not to stop."""
        import ray

        while len(ray.wait(answers, num_returns=len(answers), timeout=_POLL_SECONDS)[0]) < len(answers):
            self._check_stop()

    def _check_stop(self) -> None:
        if self._ground.stop.is_set():
            raise Interrupted("stopped while actors were waited for; run the same command again to continue")

    def _require_some(self) -> None:
        now = time.monotonic()
        if self.members:
            self._alone_since = None
            return
        self._alone_since = self._alone_since or now
        if now - self._alone_since > self._ground.settings.deadline_seconds:
            raise self._too_few(1)

    def _too_few(self, n_wanted: int) -> ClusterError:
        import ray

        settings = self._ground.settings
        cpus, gpus = settings.cpus_per_actor, settings.gpus_per_actor
        has = " and ".join(f"{ray.cluster_resources().get(kind, 0):g} {kind}s" for kind in ("CPU", "GPU"))
        why = f" The last that was lost: {self._why}." if self._why else ""
        return ClusterError(
            f"{n_wanted} Ray actors are needed, and after {settings.deadline_seconds:g} s (ray.deadline_seconds) "
            f"{len(self.members)} are there. Each takes {cpus:g} CPUs and {gpus:g} GPUs, and the cluster has {has} in "
            f"all.{why} Add nodes, ask for fewer or smaller actors (ray.n_actors, "
            "ray.cpus_per_actor, ray.gpus_per_actor), or wait for longer; then run the same command again: what was "
            "recorded is kept"
        )

    def _hire(self, budget: Budget) -> Member:
        ground = self._ground
        folder = (ground.folder / WORKERS).resolve()
        folder.mkdir(exist_ok=True)
        orders = Orders(
            journal=folder / f"{uuid.uuid4().hex[:12]}.sqlite",
            whole=ground.journal.path.resolve(),
            others=tuple(path.resolve() for path in ground.others),
            at_rest=tuple(self._at_rest),
            n_rows=ground.settings.rows_per_actor,
            n_models=ground.n_models,
            prices=ground.spending.prices,
            budget=budget,
        )
        return Member(orders, ground.settings, ahead=self.rows_ahead, work=self._work)

    def _share(self) -> None:
        """Let all actors look into the journals of lost ones that nobody writes any more."""
        for path, is_at_rest in self._settling.ended():
            if not is_at_rest:
                self._ground.note(
                    f"{path}: somebody still holds the journal of a lost actor; its rows are done anew, and it is left "
                    "for the end of the stage"
                )
            elif path.exists():  # one that was lost as it came had not begun any
                self._at_rest.append(path)
                for member in [*self.members, *self._coming]:
                    member.adopt(path)
