"""vLLM's own server, begun and ended with a run, where vLLM lives in another environment than training does."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from charter.engines.loop_thread import LoopThread
from charter.engines.vllm import guard
from charter.engines.vllm.base import Host
from charter.engines.vllm.launch import ENVIRONMENT, Launch, ended, find_cause
from charter.engines.vllm.requests import Output, Parameters
from charter.errors import EngineError, ModelError

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types import Completion

_BASE = "base"
_START_SECONDS = 1800.0  # the largest models take many minutes to be read
_CALL_SECONDS = 3600.0  # it is our own: what waits there waits for its turn
_LOOK_SECONDS = 0.25


class ServerHost(Host):
    """A base model in a server of this run's own, on this machine, that answers nobody else.

    Args:
        launch: what is loaded, and how.
        python: of the environment that has vLLM.
    """

    def __init__(self, launch: Launch, python: Path) -> None:
        super().__init__(launch)
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._client: AsyncOpenAI | None = None
        self._log: IO[bytes] | None = None
        self._n_context = 0

    @property
    def n_context(self) -> int:
        """The longest text."""
        return self._n_context

    def _start(self) -> None:
        from openai import AsyncOpenAI

        port, key = _free_port(), secrets.token_urlsafe(32)
        ours = {"VLLM_API_KEY": key, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}  # adapters come to be as a run goes on
        self._log = tempfile.TemporaryFile(prefix="charter-vllm-")  # noqa: SIM115 - as long as the server lives
        command = [str(self._python), guard.__file__, *server_command(self._python, self._launch, port=port)]
        self._process = subprocess.Popen(  # noqa: S603 - of our own making
            command,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env=server_environment(os.environ) | ours,
            start_new_session=True,  # Ctrl-C is ours to answer
        )
        try:
            self._wait(port)
            self._client = AsyncOpenAI(
                base_url=f"http://127.0.0.1:{port}/v1", api_key=key, timeout=_CALL_SECONDS, max_retries=0
            )
            self._thread = LoopThread("this engine")
            self._n_context = self._thread.run_blocking(_find_context(self._client))
        except BaseException:
            self._end_process()
            raise

    def _wait(self, port: int) -> None:
        assert self._process is not None  # noqa: S101 - just begun
        until = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if self._process.poll() is not None:
                cause = self._read_cause() or f"its server ended with status {self._process.returncode}"
                raise ModelError(f"vLLM cannot load the model in {self._launch.base}: {cause}")
            if time.monotonic() > until:
                raise ModelError(f"vLLM's server did not begin within {_START_SECONDS / 60:.0f} minutes")
            time.sleep(_LOOK_SECONDS)

    def _put_on(self, name: str, adapter: Path) -> None:
        assert self._thread is not None  # noqa: S101 - the base runs
        self._thread.run_blocking(self._load_adapter(name, adapter))

    async def _load_adapter(self, name: str, adapter: Path) -> None:
        from openai import APIError

        assert self._client is not None  # noqa: S101 - as above
        try:
            body = {"lora_name": name, "lora_path": str(adapter)}
            await self._client.post("/load_lora_adapter", body=body, cast_to=str)
        except APIError as error:
            raise ModelError(f"vLLM cannot put the adapter in {adapter} on its base: {error}") from error

    async def _generate(self, ids: list[int], parameters: Parameters, adapter: str | None) -> Output:
        from openai import APIConnectionError, APIError, InternalServerError

        assert self._client is not None  # noqa: S101 - as above
        extra = {**parameters, "return_tokens_as_token_ids": True}
        try:
            given = await self._client.completions.create(model=adapter or _BASE, prompt=ids, extra_body=extra)
        except (APIConnectionError, InternalServerError) as error:
            raise ended(self._read_cause() or str(error)) from error
        except APIError as error:
            raise EngineError(f"vLLM's server refuses the call: {error}") from error
        return _read(given, len(ids))

    def _stop(self, thread: LoopThread) -> None:
        if self._client is not None:
            thread.run_blocking(self._client.close())
            self._client = None
        self._end_process()

    def _end_process(self) -> None:
        if self._process is None or self._log is None:
            return
        assert self._process.stdin is not None  # noqa: S101 - asked for
        self._process.stdin.close()  # which its guard waits for
        self._process.wait()
        self._log.close()
        self._process = self._log = None

    def _read_cause(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0)
        return find_cause(self._log.read().decode("utf-8", "replace"))


def server_command(
    python: Path,
    launch: Launch,
    *,
    host: str = "127.0.0.1",
    port: int,
    name: str = _BASE,
    adapters: Mapping[str, Path] | None = None,
) -> list[str]:
    """Write the command that starts vLLM's server.

    Args:
        python: of the environment that has vLLM.
        launch: what is loaded, and how.
        host: the address at which it answers.
        port: the port there.
        name: how it calls the base.
        adapters: by the names that it gives them.
    """
    # The command line of the CPU build looks for a distribution of another name, and finds none.
    on_cpu = ("-m", "vllm.entrypoints.openai.api_server")
    command = [str(python), *(on_cpu if launch.on_cpu else ("-m", "vllm.entrypoints.cli.main", "serve"))]
    serving = {"host": host, "port": port, "served_model_name": name, "enable_prompt_tokens_details": True}
    for key, value in (launch.arguments | serving).items():
        flag = f"--{key.replace('_', '-')}"
        if isinstance(value, bool):
            command.append(flag if value else f"--no-{flag.removeprefix('--')}")
        else:
            command += [flag, *(value if isinstance(value, list) else [str(value)])]
    if adapters:
        command += ["--lora-modules", *(f"{known}={path}" for known, path in adapters.items())]
    return command


def server_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Give vLLM's server an environment: ours, but for ``PYTHONPATH``, which belongs to our Python."""
    return ENVIRONMENT | {name: value for name, value in environment.items() if name != "PYTHONPATH"}


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2.0) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


async def _find_context(client: AsyncOpenAI) -> int:
    models = await client.models.list()
    return int(next(model for model in models.data if model.id == _BASE).max_model_len)  # type: ignore[attr-defined]


def _read(given: Completion, n_prompt: int) -> Output:
    drawn, usage = given.choices[0], given.usage
    details = usage and usage.prompt_tokens_details
    told: Any = getattr(drawn, "prompt_logprobs", None) or ()
    top = drawn.logprobs.top_logprobs if drawn.logprobs and drawn.logprobs.top_logprobs else [{}]
    return Output(
        text=drawn.text,
        finish=drawn.finish_reason,
        n_prompt_tokens=n_prompt,
        n_cached_tokens=(details and details.cached_tokens) or 0,
        n_tokens=usage.completion_tokens if usage else 0,
        logprobs={_token(token): value for token, value in (top[0] or {}).items()},
        prompt_logprobs=[place and {int(token): one["logprob"] for token, one in place.items()} for place in told],
    )


def _token(written: str) -> int:
    return int(written.rpartition(":")[2])  # token_id:123


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
