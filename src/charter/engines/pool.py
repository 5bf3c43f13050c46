"""The pool gives each role its engine, loads a model when it is first asked, and never the same one twice."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from charter.engines.base import Capability, CompletionRequest, Engine
from charter.engines.cache import CachedEngine, CompletionMemory
from charter.engines.downloads import Progress
from charter.engines.loading import Loader
from charter.engines.memory import release_memory
from charter.engines.residents import Residents
from charter.engines.specs import ModelSpec
from charter.engines.spending import Spending
from charter.engines.usage import Usage

if TYPE_CHECKING:
    from charter.engines.http.probing import Known

#: Writes the texts of a scripted engine.
Reply = Callable[[CompletionRequest], str]


@runtime_checkable
class Counted(Engine, Protocol):
    """An engine that remembers its answers and counts what was asked of it."""

    @property
    def usage(self) -> Usage:
        """What the requests so far came to."""
        ...


class Pool:
    """Engines by role, each behind the run's memory of completions.

    Args:
        roles: the model of each role.
        memory: remembers completions by key.
        progress: told about downloads.
        spending: what calls to servers are counted in, and held to.
        most: models in memory at once; None takes as many as fit.
        stop: set when nobody waits any more for a model that is loaded.
        make: makes the engine of a model, in place of loading or reaching the model; one that counts what is asked
            of it has a memory of its own. It gives None for a model that is to be loaded or reached all the same.
    """

    def __init__(
        self,
        roles: Mapping[str, ModelSpec],
        memory: CompletionMemory,
        progress: Progress | None = None,
        spending: Spending | None = None,
        *,
        most: int | None = None,
        stop: threading.Event | None = None,
        make: Callable[[ModelSpec, Reply | None], Engine | None] | None = None,
    ) -> None:
        self._roles = dict(roles)
        self._residents = Residents(most)
        self._loader = Loader(self._say_loading, progress, stop)
        self._spending = spending or Spending()
        self._memory = memory
        self._make = make
        #: Told of each model that is opened, and of what it can do.
        self.on_open: Callable[[ModelSpec, frozenset[Capability]], None] | None = None
        #: Told the name of a model that was found and is loaded now.
        self.on_load: Callable[[str], None] | None = None
        #: Told in a line what a server that was not known was found to do.
        self.on_meet: Callable[[str], None] | None = None
        #: Called once the pool has closed every engine.
        self.on_rest: Callable[[], None] | None = None
        #: Told of each try of a call to a server that failed and is followed by another.
        self.on_retry: Callable[[str], None] | None = None
        #: What servers were found to do, so that each is asked once.
        self.met: Known = {}
        self._open: dict[ModelSpec, Counted] = {}
        self._used: dict[str, Usage] = {}

    def engine(self, role: str, reply: Reply | None = None) -> Engine:
        """Give a role its engine, loading it where it is not there yet; a scripted one writes by ``reply`` if given."""
        spec = self._roles[role]
        if reply is None or spec.engine != "scripted":
            return self.open(spec)
        return self.open(replace(spec, name=f"{spec.name}+{reply.__name__}"), reply)

    def trained(self, role: str, adapter: Path) -> Engine:
        """Give a role's model with a trained adapter on it; a scripted model stands for itself, under a new name."""
        return self.open(self._spec(role, adapter))

    @contextlib.contextmanager
    def lend(self, role: str, adapter: Path | None = None) -> Iterator[Engine]:
        """Give a role's engine, or its model with a trained adapter on it, and close it when the context ends."""
        with self.borrow(self._spec(role, adapter)) as engine:
            yield engine

    @contextlib.contextmanager
    def borrow(self, spec: ModelSpec) -> Iterator[Engine]:
        """Give the engine of any model, and close it when the context ends."""
        try:
            yield self.open(spec)
        finally:
            self._close([spec])

    def _spec(self, role: str, adapter: Path | None) -> ModelSpec:
        spec = self._roles[role]
        if adapter is None:
            return spec
        if spec.engine == "scripted":
            return replace(spec, name=f"{spec.name}+{adapter.name}")
        return replace(spec, adapter=adapter)

    def open(self, spec: ModelSpec, reply: Reply | None = None) -> Counted:
        """Give the engine of a model; a scripted one writes by ``reply``, which its name says."""
        if spec not in self._open:
            made = self._make(spec, reply) if self._make is not None else None
            if made is None:
                made = self._load(spec) if reply is None else self._script(spec, reply)
            engine = made if isinstance(made, Counted) else CachedEngine(made, self._memory)
            if self.on_open is not None:
                self.on_open(spec, engine.capabilities)
            self._open[spec] = engine
        return self._open[spec]

    def _load(self, spec: ModelSpec) -> Engine:
        if spec.engine == "http":
            return self._connect(spec)
        if spec.engine == "scripted":
            from charter.engines.scripted import ScriptedEngine

            return ScriptedEngine(script=spec.name)
        return self._residents.engine(self._loader.resident(spec))

    def _script(self, spec: ModelSpec, reply: Reply) -> Engine:
        from charter.engines.scripted import ScriptedEngine

        return ScriptedEngine(reply, script=spec.name)

    def _connect(self, spec: ModelSpec) -> Engine:
        from charter.engines.http import HttpEngine, Limits

        limits = Limits(spec.max_at_once, spec.call_seconds, spec.deadline_seconds)
        met = self.met.get(spec.served_as)
        engine = HttpEngine(
            spec.name,
            spec.server or (),
            key_name=spec.key_name,
            limits=limits,
            spending=self._spending,
            met=met,
            on_retry=self.on_retry,
            on_refusal=partial(self._add_used, spec),
        )
        self.met[spec.served_as] = engine.met
        if met is None and self.on_meet is not None:
            self.on_meet(engine.found)
        return engine

    def _say_loading(self, spec: ModelSpec) -> None:
        if self.on_load is not None:
            self.on_load(spec.label)

    def rest(self) -> None:
        """Close every engine; what others can be put on again soon, as a base in vLLM, stays in memory."""
        try:
            self._close(list(self._open))
        finally:
            if self.on_rest is not None:
                self.on_rest()

    def close(self) -> None:
        """Close every engine, giving back all memory; a later call loads anew."""
        self.rest()
        self._residents.close()

    def shut(self, engine: Engine) -> None:
        """Close one engine of the pool."""
        self._close([spec for spec, one in self._open.items() if one is engine])

    def _close(self, specs: Sequence[ModelSpec]) -> None:
        closing = [spec for spec in specs if spec in self._open]
        for spec in closing:
            engine = self._open.pop(spec)
            engine.close()
            self._add_used(spec, engine.usage)
        if any(spec.has_weights for spec in closing):
            release_memory()

    def _add_used(self, spec: ModelSpec, used: Usage) -> None:
        self._used[spec.label] = self._used.get(spec.label, Usage()) + used

    @property
    def takes_turns(self) -> bool:
        """Whether a model that is open waits for its turn in memory."""
        return self._residents.takes_turns

    @property
    def n_swaps(self) -> int:
        """How often a model made room for another in memory."""
        return self._residents.n_swaps

    @property
    def usage(self) -> dict[str, Usage]:
        """The calls and tokens per model since they were last taken, of the engines that are open too."""
        used = dict(self._used)
        for spec, engine in list(self._open.items()):
            used[spec.label] = used.get(spec.label, Usage()) + engine.usage
        return used

    def take_usage(self) -> dict[str, Usage]:
        """Hand over the calls and tokens per model of the engines that were closed since this was last asked."""
        used, self._used = self._used, {}
        return used
