"""The bases that a run has in vLLM: one of each, whatever number of roles and adapters is served on it."""

from __future__ import annotations

import sys
from pathlib import Path

from charter.engines.vllm.base import Host
from charter.engines.vllm.environment import find_python, look_into
from charter.engines.vllm.host import InProcessHost
from charter.engines.vllm.launch import HostSettings, Launch
from charter.engines.vllm.server import ServerHost
from charter.engines.weights import ModelFolder


class Hosts:
    """Bases, by what is loaded and how."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, HostSettings, bool], Host] = {}

    def find(self, folder: ModelFolder, settings: HostSettings, *, served: bool = False) -> Host:
        """Find a model's base, which is begun when an engine requires it.

        Args:
            folder: a resolved model.
            settings: how its base is loaded.
            served: by a server of vLLM's own, in the environment that ``CHARTER_VLLM`` names.

        Raises:
            ModelError: vLLM is not installed, or cannot work here.
        """
        key = (folder.path, settings, served)
        if key not in self._known:
            python = find_python() if served else Path(sys.executable)
            launch = Launch(folder.path, settings, look_into(python), trusts=folder.trust_remote_code)
            self._known[key] = ServerHost(launch, python) if served else InProcessHost(launch)
        return self._known[key]
