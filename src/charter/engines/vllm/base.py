"""What an engine needs of where vLLM runs, in this process or as a server: a base, and adapters on it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path

from charter.engines.loop_thread import LoopThread
from charter.engines.vllm.launch import Launch, Room, room_for
from charter.engines.vllm.requests import Output, Parameters
from charter.errors import EngineError


class Host(ABC):
    """A base model that vLLM runs; begun when it is first required, and anew where it has no room for an adapter.

    Args:
        launch: what is loaded, and how.
    """

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._adapters: dict[Path, str] = {}
        self._thread: LoopThread | None = None
        self._requiring = threading.Lock()
        self._counting = threading.Lock()
        self._n_calls = 0

    @property
    def dtype(self) -> str:
        """The number format of the weights."""
        return self._launch.dtype

    @property
    def n_bytes(self) -> int:
        """What it takes in memory, by estimate."""
        return self._launch.n_bytes

    def free_bytes(self) -> int:
        """Tell how much memory is free where it goes."""
        return self._launch.free_bytes()

    @property
    def places(self) -> frozenset[str]:
        """The memories that it lies in."""
        return self._launch.places

    @property
    @abstractmethod
    def n_context(self) -> int:
        """The longest text."""

    def require(self, adapter: Path | None) -> None:
        """Have the base running, with room for an adapter; those that were required before stay on it.

        Raises:
            ModelError: vLLM cannot load the model, or put such an adapter on it.
            EngineError: vLLM has to begin anew for it, while calls are under way.
        """
        with self._requiring:
            room = self._launch.room | (Room() if adapter is None else room_for(adapter))
            if self._thread is None or room != self._launch.room:
                self._begin(room)
            if adapter is not None and adapter not in self._adapters:
                name = f"adapter-{len(self._adapters) + 1}"
                self._put_on(name, adapter)
                self._adapters[adapter] = name

    def _begin(self, room: Room) -> None:
        """Begin vLLM's processes, or begin them anew, and put on them the adapters that are known."""
        with self._counting:
            if self._n_calls:
                raise EngineError(
                    "vLLM has to begin anew to make room for an adapter, and calls are under way; ask again"
                )
            thread, self._thread = self._thread, None
        if thread is not None:
            self._end(thread)
        before, self._launch = self._launch, replace(self._launch, room=room)
        try:
            self._start()
            for adapter, name in self._adapters.items():
                self._put_on(name, adapter)
        except BaseException:
            self._launch = before
            thread, self._thread = self._thread, None
            if thread is not None:
                self._end(thread)
            raise

    async def generate(self, ids: list[int], parameters: Parameters, adapter: Path | None = None) -> Output:
        """Put tokens to the model, and wait for all that comes.

        Args:
            ids: the prompt's tokens.
            parameters: as ``requests`` makes them.
            adapter: one that was required before; None asks the base.

        Raises:
            EngineError: where this call cannot be answered, or the host is closed.
            ModelError: where vLLM has ended.
        """
        with self._counting:
            thread, name = self._thread, None if adapter is None else self._adapters.get(adapter)
            if thread is None or (adapter is not None and name is None):
                raise EngineError("this engine is closed; make a new one")
            self._n_calls += 1
        try:
            return await thread.run(self._generate(ids, parameters, name))
        finally:
            with self._counting:
                self._n_calls -= 1

    def close(self) -> None:
        """End vLLM's processes and give their memory back; a later ``require`` begins them anew."""
        with self._counting:
            thread, self._thread = self._thread, None
            self._adapters.clear()
        if thread is not None:
            self._end(thread)

    def _end(self, thread: LoopThread) -> None:
        thread.cancel()
        self._stop(thread)
        thread.close()

    @abstractmethod
    def _start(self) -> None:
        """Begin vLLM's processes, and set the thread that talks to them."""

    @abstractmethod
    def _put_on(self, name: str, adapter: Path) -> None:
        """Make an adapter known by a name."""

    @abstractmethod
    async def _generate(self, ids: list[int], parameters: Parameters, adapter: str | None) -> Output:
        """Put tokens to the model, in the thread's loop."""

    @abstractmethod
    def _stop(self, thread: LoopThread) -> None:
        """End vLLM's processes."""
