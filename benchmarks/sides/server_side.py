"""An OpenAI-compatible server in a process of its own; it ends when its input does.

Started with ``llama`` or ``vllm``, a model, the calls that it answers at once, the longest text of each and its
threads. Its first line says where it is, and how it calls the model. llama.cpp is started as the tests start it, on a
GGUF file or on that of an embedded model; vLLM as ``charter serve`` does.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
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
    from charter.engines.vllm import HostSettings, find_python, guard, look_into
    from charter.engines.vllm.launch import Launch
    from charter.engines.vllm.server import _answers, _free_port, server_command, server_environment
    from charter.engines.weights import resolve_model

    python, port = find_python(), _free_port()
    launch = Launch(resolve_model(model).path, HostSettings(max_rows=n_at_once), look_into(python))
    command = [sys.executable, guard.__file__, *server_command(python, launch, port=port, name="served")]
    environment = server_environment(os.environ)
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=2, env=environment)  # noqa: S603 - our own

    def end() -> None:
        assert server.stdin is not None
        server.stdin.close()  # which its guard waits for
        server.wait()

    atexit.register(end)
    while not _answers(port):
        if server.poll() is not None:
            raise RuntimeError(f"vLLM's server ended with {server.returncode}")
        time.sleep(_LOOK_SECONDS)
    return {"url": f"http://127.0.0.1:{port}/v1", "model": "served"}


if __name__ == "__main__":
    answer_all(begin)
