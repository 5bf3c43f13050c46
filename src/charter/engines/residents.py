"""Which models are in memory: as many as fit, and no more.

Where memory holds one model at a time and roles name several, the one that is there goes on for as long as any row
asks it; then it makes room for the one that most rows wait for. What is answered does not change, for it depends on no
order of calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass, field

from charter.engines.base import (
    Capability,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Engine,
    Score,
    ScoreRequest,
)
from charter.engines.memory import release_memory
from charter.engines.turns import Turns
from charter.engines.usage import PrefixStatistics
from charter.errors import EngineError

# A row that goes on takes a turn of the event loop between two calls, and so does a new one that takes its place: a
# model is idle when nobody has asked it for as long as this.
_IDLE_SECONDS = 0.1
_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Resident:
    """A model that can be in memory.

    Attributes:
        key: equal for what is in memory once, whoever asks it.
        load: puts it there.
        n_bytes: what it takes, by estimate.
        free_bytes: tells what there is for it besides what is in memory.
        unload: takes it away where that is more than closing its engines, which it then outlives.
        places: the memories that it lies in, as devices are called; models in others are not in its way.
    """

    key: Hashable
    load: Callable[[], Engine]
    n_bytes: int
    free_bytes: Callable[[], int]
    unload: Callable[[], None] | None = None
    places: frozenset[str] = frozenset({"cpu"})


@dataclass(eq=False)
class _Room:
    """Where a resident is: the engines on it, how many calls they answer, and when the last was answered."""

    resident: Resident
    engines: set[SharedEngine] = field(default_factory=set)
    n_asking: int = 0
    asked_last: float = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether nobody has asked it for a while."""
        return not self.n_asking and time.monotonic() - self.asked_last >= _IDLE_SECONDS


class Residents:
    """The models in memory, within bounds.

    Args:
        most: models at once; None takes as many as fit.

    Attributes:
        n_swaps: how often a model made room for another.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._rooms: dict[Hashable, _Room] = {}
        self._turns: Turns[SharedEngine] = Turns()
        self._swapping: asyncio.Task[None] | None = None
        self._exchanged: frozenset[Hashable] = frozenset()
        self._all: set[SharedEngine] = set()
        self.n_swaps = 0

    @property
    def takes_turns(self) -> bool:
        """Whether an engine that was given out waits for its turn in memory."""
        return not all(engine.is_loaded for engine in self._all)

    def engine(self, resident: Resident) -> SharedEngine:
        """Give a model's engine; it is loaded at once where there is room, else when it is its turn."""
        engine = SharedEngine(resident, self)
        self._all.add(engine)
        if self._fits(resident):
            self.load(engine)
        return engine

    def bring_in(self, engine: SharedEngine) -> None:
        """Put an engine's model into memory, where it is not there; what must go for it goes first."""
        if not engine.is_loaded:
            self.make_room(engine)
            self.load(engine)

    def load(self, engine: SharedEngine) -> None:
        """Put an engine's model into memory, whatever else is there."""
        resident = engine.resident
        engine.loaded(resident.load())
        self._rooms.setdefault(resident.key, _Room(resident)).engines.add(engine)

    def make_room(self, engine: SharedEngine) -> None:
        """Take away what must go for an engine's model to fit, the models that were loaded first before others.

        Raises:
            EngineError: where one that must go is being asked.
        """
        while not self._fits(engine.resident):
            room = next(iter(self._rivals(engine.resident)))
            if room.n_asking:
                raise EngineError("memory has no room for one model more, and those that are there are being asked")
            self._take_away(room)
            self.n_swaps += 1

    def leave(self, engine: SharedEngine) -> None:
        """Note that an engine is closed; its model goes with the last one on it."""
        self._all.discard(engine)
        room = self._rooms.get(engine.resident.key)
        if room is None or engine not in room.engines:
            return
        room.engines.discard(engine)
        engine.unloaded()
        if not room.engines and room.resident.unload is None:
            del self._rooms[engine.resident.key]

    def close(self) -> None:
        """Take everything out of memory."""
        for room in list(self._rooms.values()):
            self._take_away(room)

    @contextlib.asynccontextmanager
    async def asking(self, engine: SharedEngine) -> AsyncIterator[None]:
        """Have an engine's model in memory for as long as the context lasts."""
        while not self._can_be_asked(engine):
            engine.check_open()
            if self._swapping is None or self._swapping.done():
                self._swapping = asyncio.create_task(self._swap())
            await self._turns.wait(engine)
        room = self._rooms[engine.resident.key]
        room.n_asking += 1
        try:
            yield
        finally:
            room.n_asking -= 1
            room.asked_last = time.monotonic()

    def _can_be_asked(self, engine: SharedEngine) -> bool:
        return engine.is_loaded and engine.resident.key not in self._exchanged

    async def _swap(self) -> None:
        """Serve those who wait, most of them first, each as soon as what is in its way has nothing to do."""
        while self._turns.wanted:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._turns.tell_where(self._can_be_asked):
                continue  # they ask before the next look, so that what they waited for does not go again unasked
            for engine in self._turns.wanted:
                if all(room.is_idle for room in self._in_the_way(engine.resident)):
                    await self._bring(engine)
                    break

    def _in_the_way(self, resident: Resident) -> list[_Room]:
        """List what may have to go before a model comes: nothing where it is there, for another engine on it."""
        return [] if resident.key in self._rooms else self._rivals(resident)

    async def _bring(self, engine: SharedEngine) -> None:
        """Bring an engine's model in; what may have to go for it is asked nothing meanwhile, and all others are."""
        going = {room.resident.key for room in self._in_the_way(engine.resident)}
        self._exchanged = frozenset({engine.resident.key, *going})
        try:
            await asyncio.to_thread(self.bring_in, engine)
        except Exception as error:  # noqa: BLE001 - raised where the answers are awaited, as it is
            self._turns.tell(engine, error)
        finally:
            self._exchanged = frozenset()
        self._turns.tell_where(self._can_be_asked)

    def _fits(self, resident: Resident) -> bool:
        """Say whether a model is there, or can come besides those that are; alone in a memory it has to do with it."""
        if resident.key in self._rooms or self._are_as_many_as_may_be:
            return resident.key in self._rooms
        return not self._rivals(resident) or resident.n_bytes <= resident.free_bytes()

    def _rivals(self, resident: Resident) -> list[_Room]:
        """List the models of which one must go where this one does not fit, those first that were loaded first."""
        others = [room for key, room in self._rooms.items() if key != resident.key]
        return [one for one in others if self._are_as_many_as_may_be or one.resident.places & resident.places]

    @property
    def _are_as_many_as_may_be(self) -> bool:
        return self._most is not None and len(self._rooms) >= self._most

    def _take_away(self, room: _Room) -> None:
        del self._rooms[room.resident.key]
        for engine in room.engines:
            engine.unloaded()
        if room.resident.unload is not None:
            room.resident.unload()
        release_memory()


class SharedEngine:
    """A model's engine, whether it is in memory or not.

    Args:
        resident: the model.
        residents: what is in memory.
    """

    def __init__(self, resident: Resident, residents: Residents) -> None:
        self.resident = resident
        self._residents = residents
        self._engine: Engine | None = None
        self._told: tuple[str, frozenset[Capability]] | None = None
        self._before = PrefixStatistics()
        self._is_closed = False

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._engine is not None

    @property
    def identity(self) -> str:
        """The model's own; it is loaded where nobody has asked it before."""
        return self._about()[0]

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The model's own; it is loaded where nobody has asked it before."""
        return self._about()[1]

    @property
    def prefix_statistics(self) -> PrefixStatistics:
        """Those of every time that it was in memory."""
        now = getattr(self._engine, "prefix_statistics", PrefixStatistics())
        return self._before + now

    async def complete(self, request: CompletionRequest) -> Completion:
        """Draw a text."""
        async with self._residents.asking(self):
            return await self._open.complete(request)

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Read the options' log-probabilities."""
        async with self._residents.asking(self):
            return await self._open.choose(request)

    async def score(self, request: ScoreRequest) -> Score:
        """Read a continuation's log-probability."""
        async with self._residents.asking(self):
            return await self._open.score(request)

    def close(self) -> None:
        """Leave memory, unless another engine is on the same model; calls after this raise."""
        self._is_closed = True
        self._residents.leave(self)

    def check_open(self) -> None:
        """Raise EngineError after ``close``."""
        if self._is_closed:
            raise EngineError("the engine is closed; make a new one")

    def loaded(self, engine: Engine) -> None:
        """Take the engine that was loaded."""
        self._engine = engine
        self._told = engine.identity, engine.capabilities

    def unloaded(self) -> None:
        """Close the engine, and keep what it counted."""
        if self._engine is not None:
            self._before = self.prefix_statistics
            self._engine.close()
            self._engine = None

    def _about(self) -> tuple[str, frozenset[Capability]]:
        if self._told is None:
            self._residents.bring_in(self)
        assert self._told is not None  # noqa: S101 - what is loaded has told
        return self._told

    @property
    def _open(self) -> Engine:
        assert self._engine is not None  # noqa: S101 - it is kept in memory while it is asked
        return self._engine
