"""The bases that a run has in vLLM: one of each, whatever number of roles and adapters is served on it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from functools import reduce
from operator import or_
from pathlib import Path

from charter.engines.vllm.base import Host
from charter.engines.vllm.environment import find_python, look_into
from charter.engines.vllm.host import InProcessHost
from charter.engines.vllm.launch import HostSettings, Launch, Room, room_for
from charter.engines.vllm.server import ServerHost
from charter.engines.weights import ModelFolder


class Hosts:
    """Bases, by what is loaded and how.

    Args:
        stop: set when nobody waits any more for a base that begins.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop
        self._known: dict[tuple[Path, bool, HostSettings, bool], Host] = {}

    def find(self, folder: ModelFolder, settings: HostSettings, *, served: bool = False) -> Host:
        """Find a model's base, which is begun when an engine requires it.

        Args:
            folder: a resolved model.
            settings: how its base is loaded.
            served: by a server of vLLM's own, in the environment that ``CHARTER_VLLM`` names.

        Raises:
            ModelError: vLLM is not installed, or cannot work here.
        """
        key = (folder.path, folder.trust_remote_code, settings, served)
        if key not in self._known:
            python = find_python() if served else Path(sys.executable)
            launch = begin_launch(folder, settings, python)
            self._known[key] = ServerHost(launch, python, self._stop) if served else InProcessHost(launch)
        return self._known[key]


def begin_launch(folder: ModelFolder, settings: HostSettings, python: Path, adapters: Iterable[Path] = ()) -> Launch:
    """Say how a model's base is put into the vLLM of an environment.

    Args:
        folder: a resolved model.
        settings: how its base is loaded.
        python: of the environment.
        adapters: what there is to be room for.

    Raises:
        ModelError: vLLM is not installed, cannot work here, or cannot put such an adapter on the base.
    """
    room = reduce(or_, map(room_for, adapters), Room())
    return Launch(folder.path, settings, look_into(python), trusts=folder.trust_remote_code, room=room)
