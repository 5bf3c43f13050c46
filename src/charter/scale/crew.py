"""The actors of a stage: called when the first is needed, replaced when one is lost, dismissed when the stage ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from charter.errors import CharterError, ClusterError, Interrupted
from charter.journal.records import Outcome
from charter.scale.accounts import Accounts
from charter.scale.hiring import Ground
from charter.scale.member import Lost, Member, Work, ask_all
from charter.scale.settling import Settling, take_in
from charter.scale.stand_ins import EngineName
from charter.scale.worker import Opened

_POLL_SECONDS = 0.05
# For so long the journal of a lost actor is waited for: a node that is cut off ends its actors by itself, and NFS keeps
# the locks of a machine that lost power for 90 s, unless it is told otherwise.
_PATIENCE_SECONDS = 120.0
_SECONDS_TO_LET_GO = 30.0  # of their journals, all actors together, once a stage has ended
_SECONDS_TO_BEGIN = 1.0  # who has a model to load first joins the others when it is there
_LOOK_SECONDS = 0.005
_LOST_PER_ACTOR = 5  # so many lost for each that is asked for, with no row done in between, and the crew is given up
_SECONDS_TO_FILL = 1.0  # a place whose actor could not begin, once another works; each time twice as long


class Crew:
    """The actors that do a stage's rows.

    An actor that was lost is replaced, and the others go on meanwhile. Its journal is waited for beside them; then its
    rows end as they ended there, or go to the others, who look into it for answers. One that somebody holds for too
    long is left, until the crew is dismissed or the run is opened again.

    An actor that cannot begin, as it cannot open an engine that others can, costs no row: the others go on without it,
    and another is called for now and then while one of them works.

    Attributes:
        members: the actors that are there.
        n_actors: how many are asked for.
        rows_ahead: rows that an actor is given at once: some more than it does at once, so that no place is idle.
    """

    def __init__(self, ground: Ground) -> None:
        self.members: list[Member] = []
        self.rows_ahead = ground.rows_ahead
        self.n_actors = ground.settings.n_actors
        self._ground = ground
        self._coming: list[Member] = []
        self._vacant: list[Member] = []
        self._settling = Settling(_PATIENCE_SECONDS)
        self._at_rest: list[Path] = []
        self._left: list[Path] = []
        self._accounts = Accounts(ground.spending, ground.journal, ground.on_retry)
        self._work: Work | None = None
        self._n_lost_in_a_row = self._n_refused = 0
        self._fill_at = 0.0
        self._alone_since: float | None = None
        self._why = ""

    def open_engine(self, name: EngineName) -> Opened:
        """Have every actor that is at hand open an engine, and give what it says of itself.

        Raises:
            ClusterError: where there are not as many actors as are asked for in time, or they are lost.
            Interrupted: where the run is to stop.
            CharterError: where no actor can open the engine.
        """
        self._accounts.open(name)
        while True:
            for _ in self._gathering():
                self._ground.stop.wait(_POLL_SECONDS)
            found: Opened | None = None
            refused: list[tuple[Member, CharterError]] = []
            answers = [(one, one.call("open", name)) for one in self.members if one.is_at_hand]
            self._wait_for([answer for _, answer in answers])
            for member, answer in answers:
                try:
                    found = member.fetch(answer)
                except Lost as error:
                    self.bury(member, str(error))
                except CharterError as error:
                    refused.append((member, error))
            if refused and found is None:
                raise refused[0][1]
            for member, why in refused:
                self._leave(member, why)
            if found is not None:
                return found

    def close_engine(self, name: EngineName) -> None:
        """Have every actor close an engine, and count what all have taken; one that is to come knows nothing of it."""
        for member, told in ask_all(self.members, "count").items():
            member.hear(told)
        self.count_spending()
        ask_all(self.members, "close", name.number)  # which may take a while, and is waited for no longer than that

    def count_spending(self) -> None:
        """Count for the run what actors have told since this was last done."""
        self._accounts.hear(self.members)
        self._accounts.keep(self._ground.stage())

    async def begin(self, work: Work) -> None:
        """Give every actor the work of a mapping; raises as ``open_engine`` does."""
        for _ in self._gathering():
            await asyncio.sleep(_POLL_SECONDS)
        self._work = work
        end = time.monotonic() + _SECONDS_TO_BEGIN
        self.look()
        while not all(member.is_at_hand for member in self.members) and time.monotonic() < end:
            await asyncio.sleep(_LOOK_SECONDS)
            self.look()

    def end_work(self) -> None:
        """Note that a mapping has ended, so that an actor that comes now opens none of its engines."""
        self._work = None

    def look(self) -> None:
        """Let actors that came since take part, and tell all of the work, and of journals that nobody writes any more.

        Raises:
            ClusterError: where none is there, and none comes in time, or none of those that came can begin.
            JournalError: where the journal of a lost one cannot be read.
        """
        self._share()
        for member in [*self.members, *self._coming]:
            try:
                if member.look() and member in self._coming and self._knows_its_part(member):
                    self._coming.remove(member)
                    self.members.append(member)
                if member.is_at_hand and member in self.members and self._work is not None:
                    member.begin(self._work)
            except Lost as error:
                self.bury(member, str(error))
            except CharterError as error:
                self._leave(member, error)
        self._fill()
        self._require_some()

    def bury(self, member: Member, why: str) -> None:
        """Do without a lost actor, and call for another.

        Raises:
            ClusterError: where actor after actor is lost.
        """
        if not self._take_out(member, why):
            return
        if member.is_ready:
            self._ground.note(f"an actor was lost; what it had recorded is kept, and another is called for: {why}")
        if self._n_lost_in_a_row >= _LOST_PER_ACTOR * self.n_actors:
            raise ClusterError(
                f"{self._n_lost_in_a_row} actors were lost one after another, and no row was done in between. The "
                f"last: {why}. Mend the cause and run the same command again: what was recorded is kept"
            )
        self._coming.append(self._hire_after(member))

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
        self.members, self._coming, self._vacant, self._work = [], [], [], None
        ended = [*(member.journal for member in crew), *self._settling.give_up()]
        self._at_rest, self._alone_since = [], None
        self._n_lost_in_a_row = self._n_refused = 0
        self._accounts.keep(self._ground.stage(), at_once=True)
        took, self._left = take_in(self._ground.journal, ended, self._left, seconds=_SECONDS_TO_LET_GO)
        for path, tally in took.items():
            self._accounts.settle(path.stem, tally.usage)
        self._accounts.close()
        if self._left:
            self._ground.note(
                f"{len(self._left)} journals of actors are still held by somebody, and the stage is done without them: "
                f"{self._left[0]} is taken in when a later stage ends, or the same command is run again"
            )
        self._ground.journal.move_on()

    def _gathering(self) -> Iterator[None]:
        """Go on until all actors that are asked for are at hand, the first time; and until there is one, later."""
        n_wanted = 1
        if not self.members and not self._coming:
            n_wanted = self.n_actors
            self._ground.journal.hold_still()
            part, self._vacant = self._ground.divide(n_wanted), []
            self._coming = [self._ground.hire(part, at_rest=self._at_rest) for _ in range(n_wanted)]
        elif self.members:
            self.look()
        end = time.monotonic() + self._ground.settings.deadline_seconds
        while sum(member.is_at_hand for member in self.members) < n_wanted:
            yield
            self._check_stop()
            self.look()
            if len(self.members) < n_wanted and time.monotonic() > end:
                raise self._ground.too_few(n_wanted, len(self.members), self._why)

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
            raise self._ground.too_few(1, 0, self._why)

    def _take_out(self, member: Member, why: str) -> bool:
        """Let go of an actor that is lost, and wait for its journal; False where that was done before."""
        crew = self.members if member in self.members else self._coming
        if member not in crew:
            return False
        crew.remove(member)
        self._accounts.hear([member])
        member.kill()
        self._settling.begin(member.journal, self._work.stage if self._work else "", member.rows)
        self._why, self._n_lost_in_a_row = why, self._n_lost_in_a_row + 1
        return True

    def _leave(self, member: Member, error: CharterError) -> None:
        """Do without an actor that cannot begin.

        Raises:
            ClusterError: where there is no other. A row that waits for an actor is not to take that for its own end.
        """
        if not self._take_out(member, str(error)):
            return
        if not self.members and not self._coming:
            raise ClusterError(
                f"no actor is left that can begin: {error} Mend the cause and run the same command again: what was "
                "recorded is kept"
            ) from error
        self._ground.note(f"an actor could not begin; the others go on, and another is called for later: {error}")
        self._vacant.append(member)
        self._fill_at = time.monotonic() + _SECONDS_TO_FILL * 2**self._n_refused
        self._n_refused += 1

    def _fill(self) -> None:
        """Call for others in place of those that could not begin, once it is seen that one can."""
        can_begin = any(one.is_at_hand and one.knows is not None for one in self.members)
        if self._vacant and can_begin and time.monotonic() >= self._fill_at:
            self._coming += [self._hire_after(one) for one in self._vacant]
            self._vacant = []

    def _hire_after(self, lost: Member) -> Member:
        """Call for an actor that takes a lost one's part of the budget, as far as there is any of it left."""
        return self._ground.hire(lost.part, before=(*lost.before, lost.journal), at_rest=self._at_rest)

    def _knows_its_part(self, member: Member) -> bool:
        """Tell a newcomer what is left of its part, once it is known what those took that had it before."""
        if not member.is_limited and not any(self._settling.waits_for(one) for one in member.before):
            member.limit(self._accounts.left_of(member.part, [one.stem for one in member.before]))
            return member.look()
        return member.is_limited

    def _share(self) -> None:
        """Let all actors look into the journals of lost ones that nobody writes any more."""
        for path, took in self._settling.ended():
            if took is None:
                self._ground.note(
                    f"{path}: somebody still holds the journal of a lost actor; its rows are done anew, and it is left "
                    "for the end of the stage"
                )
                continue
            self._accounts.settle(path.stem, took.usage)
            if path.exists():  # one that was lost as it came had not begun any
                self._at_rest.append(path)
                for member in [*self.members, *self._coming]:
                    member.adopt(path)
