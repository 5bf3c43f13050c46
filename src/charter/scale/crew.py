"""The actors of a stage: called when the first is needed, replaced when one is lost, dismissed when the stage ends."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from charter.engines.spending import Budget, Spending
from charter.engines.usage import Usage
from charter.errors import ClusterError, Interrupted
from charter.journal.store import Journal
from charter.recipe.settings import RaySettings
from charter.runs.place import WORKERS
from charter.runs.workers import remove_worker, take_in_worker
from charter.scale.member import Lost, Member, Work, ask_all
from charter.scale.stand_ins import EngineName
from charter.scale.worker import Opened, Orders

_POLL_SECONDS = 0.05
_SECONDS_TO_LET_GO = 60.0  # of its journal, once an actor is lost: a node that is cut off ends its actors by itself
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

    An actor that was lost is replaced, and the others go on meanwhile. What it had recorded is taken into the run's
    journal at once, and its own stays for the others to look into until the crew is dismissed.

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
        self._taken_in: list[Path] = []
        self._names: dict[int, EngineName] = {}
        self._gone: dict[int, Usage] = {}
        self._counted: dict[int, Usage] = {}
        self._work: Work | None = None
        self._n_lost_in_a_row = 0
        self._alone_since: float | None = None
        self._why = ""

    def open_engine(self, name: EngineName) -> Opened:
        """Have every actor open an engine, and give what it says of itself.

        Raises:
            ClusterError: where there are not as many actors as are asked for in time, or they are lost.
            CharterError: where the engine cannot be opened.
        """
        self._names[name.number] = name
        while True:
            self._gather()
            found: Opened | None = None
            for member, answer in [(one, one.call("open", name)) for one in self.members]:
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
        told = [member.usage.get(name.number, Usage()) for member in list(self.members)]
        return sum(told, self._gone.get(name.number, Usage()))

    def count_spending(self) -> None:
        """Count for the run what calls to servers came to since this was last done."""
        for number, name in self._names.items():
            if name.spec.engine == "http":
                now, before = self.usage_of(name), self._counted.get(number, Usage())
                self._counted[number] = now
                _count(self._ground.spending, name, now, before)

    def begin(self, work: Work) -> None:
        """Give every actor the work of a mapping; raises as ``open_engine`` does."""
        self._work = work
        self._gather()
        for member in list(self.members):
            self._introduce(member)

    def look(self) -> None:
        """Let actors that have come since take part.

        Raises:
            ClusterError: where none is there, and none comes in time.
        """
        for member in list(self._coming):
            try:
                if member.look():
                    self._coming.remove(member)
                    self.members.append(member)
                    self._introduce(member)
            except Lost as error:
                self.bury(member, str(error))
        self._require_some()

    def bury(self, member: Member, why: str) -> None:
        """Take what a lost actor recorded into the run, and call for another.

        Raises:
            ClusterError: where actor after actor is lost.
            Busy: where it is cut off, and goes on writing its journal.
        """
        crew = self.members if member in self.members else self._coming
        if member not in crew:
            return
        crew.remove(member)
        for number, used in member.usage.items():
            self._gone[number] = self._gone.get(number, Usage()) + used
        member.kill()
        self._take_in(member)
        self._why, self._n_lost_in_a_row = why, self._n_lost_in_a_row + 1
        if member.is_ready:
            self._ground.note(f"an actor was lost; what it had recorded is kept, and another is called for: {why}")
        if self._n_lost_in_a_row >= _LOST_PER_ACTOR * self.n_actors:
            raise ClusterError(
                f"{self._n_lost_in_a_row} actors were lost one after another, and no row was done in between. The "
                f"last: {why}. Mend the cause and run the same command again: what was recorded is kept"
            )
        self._coming.append(self._hire(self._left_of(member)))
        if member.journal in self._taken_in:  # one that was lost as it came had not begun any
            self._share(member.journal)

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
        for member in crew:
            self._take_in(member)
        for path in self._taken_in:
            remove_worker(path)
        self._taken_in, self._names, self._gone, self._counted = [], {}, {}, {}
        self._n_lost_in_a_row, self._alone_since = 0, None
        self._ground.journal.move_on()

    def _gather(self) -> None:
        """Wait until all actors that are asked for are there, the first time; and until there is one, later."""
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
            if self._ground.stop.wait(_POLL_SECONDS):
                raise Interrupted("stopped while actors were waited for; run the same command again to continue")
            self.look()
            if len(self.members) < n_wanted and time.monotonic() > end:
                raise self._too_few(n_wanted)

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
            at_rest=tuple(self._taken_in),
            n_rows=ground.settings.rows_per_actor,
            n_models=ground.n_models,
            prices=ground.spending.prices,
            budget=budget,
        )
        return Member(orders, ground.settings, ahead=self.rows_ahead, work=self._work)

    def _left_of(self, member: Member) -> Budget:
        """Say what is left of a lost actor's part of the budget, as far as it had told."""
        spent = Spending(self._ground.spending.prices)
        for number, used in member.usage.items():
            if number in self._names and self._names[number].spec.engine == "http":
                _count(spent, self._names[number], used, Usage())
        return member.budget.divide(spent, Spending(), 1, member.budget.part)

    def _introduce(self, member: Member) -> None:
        if self._work is not None:
            try:
                member.begin(self._work)
            except Lost as error:
                self.bury(member, str(error))

    def _share(self, journal: Path) -> None:
        """Let the actors that are there look into a lost one's journal."""
        for member in list(self.members):
            try:
                member.fetch(member.call("adopt", (journal,)))
            except Lost as error:
                self.bury(member, str(error))

    def _take_in(self, member: Member) -> None:
        if member.journal.exists():
            take_in_worker(self._ground.journal, member.journal, seconds=_SECONDS_TO_LET_GO)
            self._taken_in.append(member.journal)


def _count(spending: Spending, name: EngineName, now: Usage, before: Usage) -> None:
    spending.count(
        name.spec.label,
        now.total.n_prompt_tokens - before.total.n_prompt_tokens,
        now.total.n_completion_tokens - before.total.n_completion_tokens,
        now.n_prompt_tokens_from_prefix - before.n_prompt_tokens_from_prefix,
    )
