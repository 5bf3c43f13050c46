"""Engines that stand for models which others open, and work that names them when it is sent there."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from charter.engines.base import Capability, Engine
from charter.engines.embedded import EMBEDDED
from charter.engines.pool import Reply
from charter.engines.specs import ModelSpec
from charter.engines.unasked import Unasked
from charter.engines.usage import Usage
from charter.errors import ClusterError

if TYPE_CHECKING:
    from charter.engines.http.probing import Met


@dataclass(frozen=True)
class EngineName:
    """How driver and actors speak of an engine.

    Args:
        number: its own.
        spec: what is loaded.
        reply: what a scripted one writes by.
        met: what a server was found to do, so that no actor asks it again.
        label: how counts and reports call the model; empty where it is as the spec does.
    """

    number: int
    spec: ModelSpec
    reply: Reply | None = None
    met: Met | None = None
    label: str = ""

    @property
    def called(self) -> str:
        """How counts and reports call the model."""
        return self.label or self.spec.label


def found_from_anywhere(spec: ModelSpec) -> ModelSpec:
    """Name a model's folders by paths that hold whatever folder a process is in."""
    if not spec.has_weights:
        return spec
    folder = Path(spec.name).expanduser()
    is_folder = spec.name not in EMBEDDED and folder.exists()
    name = str(folder.resolve()) if is_folder else spec.name
    return replace(spec, name=name, adapter=None if spec.adapter is None else spec.adapter.resolve())


class Closing(Protocol):
    """Who closes what actors opened."""

    def close_engine(self, engine: EngineName) -> None:
        """Close it everywhere."""
        ...


class StandIn(Unasked):
    """An engine that actors have, seen from the driver: it can be named and closed, and not be asked.

    Args:
        name: how it is spoken of.
        identity: the engine's own.
        capabilities: the engine's own.
        crew: who closes it.
        usage: what the driver took of it, to find out what it can do. What actors take is kept in their journals.
    """

    def __init__(
        self,
        name: EngineName,
        identity: str,
        capabilities: frozenset[Capability],
        crew: Closing,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(identity, capabilities, "where only actors ask it")
        self.name = name
        self.usage = usage or Usage()
        self._crew = crew

    def close(self) -> None:
        """Close it in every actor."""
        self._crew.close_engine(self.name)


def pack(work: object) -> bytes:
    """Pickle work to be sent to actors; of each engine in it only the name goes.

    Raises:
        ClusterError: where something in it cannot be sent.
    """
    from ray import cloudpickle

    class Packer(cloudpickle.Pickler):  # type: ignore[misc] # pickle asks for a method
        def persistent_id(self, value: object) -> EngineName | None:
            return value.name if isinstance(value, StandIn) else None

    buffer = io.BytesIO()
    try:
        Packer(buffer).dump(work)
    except (pickle.PicklingError, TypeError) as error:
        raise ClusterError(f"{work!r} cannot be sent to actors ({error}); do this run without --on ray") from error
    return buffer.getvalue()


def unpack(packed: bytes, find: Callable[[EngineName], Engine]) -> Any:
    """Unpickle work that the driver of this run sent, with the engines that have the names in it."""

    class Unpacker(pickle.Unpickler):
        def persistent_load(self, name: EngineName) -> Engine:
            return find(name)

    return Unpacker(io.BytesIO(packed)).load()
