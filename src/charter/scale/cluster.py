"""The Ray cluster of a run: found by its address, or started on this machine for as long as the run lasts."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from charter.errors import ClusterError
from charter.recipe.settings import RaySettings

_OLDEST = (2, 60)
_SECONDS_TO_ANSWER = 10.0
_HERE = "127.0.0.1"  # a cluster of this machine alone is to be reached from nowhere else


@contextlib.contextmanager
def cluster(settings: RaySettings) -> Iterator[None]:
    """Be part of a cluster for as long as the context lasts; one that this process is part of already stays as it is.

    Raises:
        ClusterError: where there is none at the address, or Ray is not installed.
    """
    require_ray()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        yield
        return
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # what matters of it is raised
    options = {"address": settings.address} if settings.address else _alone(settings)
    try:
        if settings.address:
            _require_answer(settings.address)
        with _own_signals():
            ray.init(**options, log_to_driver=False, configure_logging=False)
    except Exception as error:  # Ray's own are bare ones where a node takes too long to start
        raise ClusterError(_not_joined(settings, error)) from error
    try:
        yield
    finally:
        ray.shutdown()


def require_ray() -> None:
    """Check that Ray is installed.

    Raises:
        ClusterError: where it is not, or is too old.
    """
    oldest = ".".join(str(part) for part in _OLDEST)
    if importlib.util.find_spec("ray") is None:
        raise ClusterError(f"--on ray needs Ray, which is not installed: pip install 'ray>={oldest}', on every node")
    # Read once, on importing: what a node says of a worker's end goes to standard output, where results are.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
    import ray

    version = tuple(int(part) for part in ray.__version__.split(".")[:2])
    if version < _OLDEST:
        raise ClusterError(f"Ray is {ray.__version__}, which is too old: pip install 'ray>={oldest}', on every node")


def _require_answer(address: str) -> None:
    """Require that somebody listens at an address, as ``ray.init`` would go on trying for minutes.

    Raises:
        OSError: where nobody does.
        ValueError: where it is not written as one.
    """
    if address == "auto":
        known = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray/ray_current_cluster"  # noqa: S108 - Ray's own place
        address = os.environ.get("RAY_ADDRESS") or (known.read_text("utf-8").strip() if known.exists() else "")
        if not address:
            raise ValueError("none was started on this node, and RAY_ADDRESS is not set")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise ValueError("an address is a host and a port, such as 10.0.0.5:6379, or 'auto'")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_TO_ANSWER).close()


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's own handlers of Ctrl-C and SIGTERM, which Ray puts its own in place of."""
    kept = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for one, handler in kept.items():
                signal.signal(one, handler)


def _alone(settings: RaySettings) -> dict[str, object]:
    n_cpus = math.ceil(settings.n_actors * settings.cpus_per_actor)
    return {
        "address": "local",
        "num_cpus": max(n_cpus, os.cpu_count() or 1),
        "include_dashboard": False,
        "_node_ip_address": _HERE,
    }


def _not_joined(settings: RaySettings, error: Exception) -> str:
    if settings.address:
        return (
            f"no Ray cluster at {settings.address!r} (ray.address): {_first_line(error)}. Start its head with "
            "'ray start --head', the other nodes with 'ray start --address=HEAD:6379', all with one RAY_AUTH_TOKEN; or "
            "leave ray.address out to use this machine alone"
        )
    return (
        f"no Ray cluster on this machine: {_first_line(error)}. Ray gives its processes half a minute to start: where "
        "other work keeps them from it, run the same command when there is less; or begin with 'ray start --head' and "
        "add ray.address=auto"
    )


def _first_line(error: BaseException) -> str:
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), type(error).__name__)
