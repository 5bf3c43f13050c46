"""How a model comes into memory: its files are found and fetched at once, its weights are loaded when it has room."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from charter.engines.base import Engine
from charter.engines.downloads import Progress
from charter.engines.footprint import estimate_bytes, free_bytes
from charter.engines.residents import Resident
from charter.engines.weights import ModelFolder, resolve_model

if TYPE_CHECKING:
    from charter.engines.specs import ModelSpec
    from charter.engines.vllm import Host, Hosts


class Loader:
    """Makes residents of models, each with what loads it.

    Args:
        on_load: told of a model that is loaded now.
        progress: told about downloads.
        stop: set when nobody waits any more for a model that is loaded.
    """

    def __init__(
        self, on_load: Callable[[ModelSpec], None], progress: Progress | None, stop: threading.Event | None
    ) -> None:
        self._on_load = on_load
        self._progress = progress
        self._stop = stop
        self._vllm: Hosts | None = None

    def resident(self, spec: ModelSpec) -> Resident:
        """Find a model's files, fetch them where they are not here, and say what loads it and what it takes.

        Raises:
            ModelError: where there is no such model, or nothing that loads it.
        """
        name = str(spec.adapter or spec.name)
        folder = resolve_model(name, trust_remote_code=spec.trust_remote_code, progress=self._progress)
        return self._in_vllm(spec, folder) if spec.is_vllm else self._here(spec, folder)

    def _here(self, spec: ModelSpec, folder: ModelFolder) -> Resident:
        from charter.engines.devices import choose_device, choose_dtype, name_device

        device = choose_device(spec.device)
        number_bytes = choose_dtype(spec.dtype, device).itemsize
        n_bytes = estimate_bytes(folder.path, number_bytes, merges=folder.adapter is not None)
        place = name_device(device)
        load = partial(self._load_here, spec, folder)
        return Resident(spec, load, n_bytes, partial(free_bytes, place), places=frozenset({place}))

    def _load_here(self, spec: ModelSpec, folder: ModelFolder) -> Engine:
        self._on_load(spec)
        from charter.engines.transformers import TransformersEngine  # which brings torch: seconds of it

        return TransformersEngine(
            folder, dtype=spec.dtype, device=spec.device, max_rows=spec.rows_at_once, n_context=spec.n_context
        )

    def _in_vllm(self, spec: ModelSpec, folder: ModelFolder) -> Resident:
        from charter.engines.vllm import Hosts, HostSettings

        hosts = self._vllm = self._vllm or Hosts(self._stop)
        settings = HostSettings(
            spec.dtype,
            spec.device,
            spec.rows_at_once,
            spec.n_context,
            spec.memory_share,
            spec.n_gpus,
            spec.compiled,
        )
        host = hosts.find(folder, settings, served=spec.engine == "vllm-server")
        load = partial(self._load_in_vllm, spec, folder, host)
        return Resident(host, load, host.n_bytes, host.free_bytes, unload=host.close, places=host.places)

    def _load_in_vllm(self, spec: ModelSpec, folder: ModelFolder, host: Host) -> Engine:
        self._on_load(spec)
        from charter.engines.vllm import VllmEngine

        return VllmEngine(folder, host)
