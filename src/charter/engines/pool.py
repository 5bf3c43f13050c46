"""The pool gives each role its engine, loads a model when it is first asked, and never the same one twice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from charter.engines.base import CompletionRequest, Engine
from charter.engines.cache import CachedEngine, CompletionMemory
from charter.engines.downloads import Progress
from charter.engines.memory import release_memory
from charter.engines.spending import Spending
from charter.engines.usage import Usage
from charter.engines.weights import resolve_model

EngineName = Literal["transformers", "http", "scripted"]


@dataclass(frozen=True)
class ModelSpec:
    """A model as a recipe names it: what is loaded, and how; or who serves it, and how it is asked."""

    name: str
    engine: EngineName = "transformers"
    server: str | tuple[str, ...] | None = None
    key_name: str | None = None
    max_at_once: int = 64
    call_seconds: float = 120.0
    deadline_seconds: float = 900.0
    dtype: str = "auto"
    device: str = "auto"
    max_rows: int = 64
    trust_remote_code: bool = False
    adapter: Path | None = None

    @property
    def label(self) -> str:
        """How the model is called in counts and reports."""
        return self.name if self.adapter is None else f"{self.name}+{self.adapter.name}"


class Pool:
    """Engines by role, each behind the run's memory of completions.

    Args:
        roles: the model of each role.
        memory: remembers completions by key.
        progress: told about downloads.
        spending: what calls to servers are counted in, and held to.
    """

    def __init__(
        self,
        roles: Mapping[str, ModelSpec],
        memory: CompletionMemory,
        progress: Progress | None = None,
        spending: Spending | None = None,
    ) -> None:
        self._roles = dict(roles)
        self._spending = spending or Spending()
        self._memory = memory
        self._progress = progress
        #: Told the name of a model that was found and is loaded now.
        self.on_load: Callable[[str], None] | None = None
        self._open: dict[ModelSpec, CachedEngine] = {}
        self._used: dict[str, Usage] = {}

    def engine(self, role: str, reply: Callable[[CompletionRequest], str] | None = None) -> Engine:
        """Give a role its engine, loading it where it is not there yet; a scripted one writes by ``reply`` if given."""
        spec = self._roles[role]
        if reply is None or spec.engine != "scripted":
            return self.open(spec)
        spec = replace(spec, name=f"{spec.name}+{reply.__name__}")
        if spec not in self._open:
            from charter.engines.scripted import ScriptedEngine

            self._open[spec] = CachedEngine(ScriptedEngine(reply, script=spec.name), self._memory)
        return self._open[spec]

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

    def open(self, spec: ModelSpec) -> Engine:
        """Give the engine of a model."""
        if spec not in self._open:
            self._open[spec] = CachedEngine(self._load(spec), self._memory)
        return self._open[spec]

    def _load(self, spec: ModelSpec) -> Engine:
        return _connect(spec, self._spending) if spec.engine == "http" else _load(spec, self._progress, self.on_load)

    def close(self) -> None:
        """Close every engine, giving back its memory; a later call loads anew."""
        self._close(list(self._open))

    def _close(self, specs: Sequence[ModelSpec]) -> None:
        closing = [spec for spec in specs if spec in self._open]
        for spec in closing:
            engine = self._open.pop(spec)
            engine.close()
            self._used[spec.label] = self._used.get(spec.label, Usage()) + engine.usage
        if closing:
            release_memory()

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


def _load(spec: ModelSpec, progress: Progress | None, on_load: Callable[[str], None] | None) -> Engine:
    if spec.engine == "scripted":
        from charter.engines.scripted import ScriptedEngine

        return ScriptedEngine(script=spec.name)
    folder = resolve_model(str(spec.adapter or spec.name), trust_remote_code=spec.trust_remote_code, progress=progress)
    if on_load is not None:
        on_load(spec.label)
    from charter.engines.transformers import TransformersEngine  # which brings torch: seconds of it

    return TransformersEngine(folder, dtype=spec.dtype, device=spec.device, max_rows=spec.max_rows)


def _connect(spec: ModelSpec, spending: Spending) -> Engine:
    from charter.engines.http import HttpEngine, Limits

    limits = Limits(spec.max_at_once, spec.call_seconds, spec.deadline_seconds)
    return HttpEngine(spec.name, spec.server or (), key_name=spec.key_name, limits=limits, spending=spending)
