"""An OpenAI-compatible server in a process of its own; it ends when its input does.

Started with ``llama`` or ``vllm``, a model, the calls that it answers at once, the longest text of each and its
threads. Its first line says where it is, and how it calls the model. llama.cpp is started as the tests start it, on a
GGUF file or on that of an embedded model; vLLM as ``charter serve`` does.
"""

from __future__ import annotations

import atexit
import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.sides.answering import Answer, answer_all

_LOOK_SECONDS = 0.25
_KEPT = []  # the server in this process ends with the object


def begin() -> tuple[dict[str, Any], Answer]:
    """Start it."""
    kind, model, *numbers = sys.argv[1:]
    n_at_once, n_context, n_threads = map(int, numbers)
    is_llama = kind == "llama"
    told = start_llama(model, n_at_once, n_context, n_threads) if is_llama else start_vllm(model, n_at_once)
    return told, lambda _: {}


def start_llama(model: str, n_at_once: int, n_context: int, n_threads: int) -> dict[str, Any]:
    """Start llama.cpp's server in this process."""
    sys.path.append(str(Path(__file__).parents[2] / "tests"))  # which are no installed package
    from engines.servers import embedded_gguf, serve

    file = Path(model) if model.endswith(".gguf") else embedded_gguf(model)
    server = serve(file, n_parallel=n_at_once, n_context=n_context, n_threads=n_threads)
    _KEPT.append(server)
    return {"url": server.url, "model": file.stem, "weight_bytes": file.stat().st_size}


def start_vllm(model: str, n_at_once: int) -> dict[str, Any]:
    """Start vLLM's server in the environment that ``CHARTER_VLLM`` names."""
    from charter.engines.vllm import HostSettings, find_python, look_into
    from charter.engines.vllm.command import server_command, server_environment
    from charter.engines.vllm.launch import Launch
    from charter.engines.weights import resolve_model
    from charter.processes import guard

    python, at, place = find_python(), ("127.0.0.1", _free_port()), Path(tempfile.mkdtemp(prefix="charter-benchmark-"))
    launch = Launch(resolve_model(model).path, HostSettings(max_rows=n_at_once), look_into(python))
    command = server_command(python, launch, at, name="served", has_key=False)
    server = subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, guard.__file__, str(place), *command],
        stdin=subprocess.PIPE,
        stdout=2,
        env=server_environment(os.environ),
    )
    atexit.register(guard.release, server, place)
    while not _answers(*at):
        if server.poll() is not None:
            raise RuntimeError(f"vLLM's server ended with {server.returncode}")
        time.sleep(_LOOK_SECONDS)
    return {"url": f"http://{at[0]}:{at[1]}/v1", "model": "served"}


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _answers(host: str, port: int) -> bool:
    """Say whether a server is ready there."""
    connection = http.client.HTTPConnection(host, port, timeout=_LOOK_SECONDS)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


if __name__ == "__main__":
    answer_all(begin)
