"""vLLM's own server, begun and ended with a run, where vLLM lives in another environment than training does."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from charter.engines.loop_thread import LoopThread
from charter.engines.vllm.base import Host
from charter.engines.vllm.launch import Launch, ended
from charter.engines.vllm.process import ServerProcess
from charter.engines.vllm.requests import Output, Parameters
from charter.errors import EngineError, ModelError

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types import Completion

_BASE = "base"
_CALL_SECONDS = 3600.0  # it is our own: what waits there waits for its turn
_HEALTH_SECONDS = 60.0  # of a server with much to do
_MOST_CONNECTIONS = 512  # a process may open 1,024 files; calls beyond wait here


class ServerHost(Host):
    """A base model in a server of this run's own, on this machine, that answers nobody else.

    Args:
        launch: what is loaded, and how.
        python: of the environment that has vLLM.
        stop: set when nobody waits any more for a server that begins.
    """

    def __init__(self, launch: Launch, python: Path, stop: threading.Event | None = None) -> None:
        super().__init__(launch)
        self._python = python
        self._stopped = stop or threading.Event()
        self._process: ServerProcess | None = None
        self._client: AsyncOpenAI | None = None
        self._n_context = 0

    @property
    def n_context(self) -> int:
        """The longest text."""
        return self._n_context

    def _start(self) -> None:
        self._process = ServerProcess(self._python, self._launch, _BASE)
        thread = LoopThread("this engine")
        try:
            self._process.wait(self._stopped)
            self._client = _make_client(self._process)
            self._n_context = thread.run_blocking(self._find_context(self._client))
        except BaseException:
            self._stop(thread)
            thread.close()
            raise
        self._thread = thread

    async def _find_context(self, client: AsyncOpenAI) -> int:
        from openai import APIError

        try:
            models = await client.models.list()
            return next(int(one.max_model_len) for one in models.data if one.id == _BASE)  # type: ignore[attr-defined]
        except (APIError, AttributeError, RuntimeError, StopIteration, TypeError, ValueError) as error:
            raise ModelError(f"vLLM's server for {self._launch.base} does not tell what it serves: {error}") from error

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
            await self._require_alive(error)
            raise EngineError(f"vLLM's server failed in a call, and goes on: {error}") from error
        except APIError as error:
            raise EngineError(f"vLLM's server refuses the call: {error}") from error
        return _read(given, len(ids))

    async def _require_alive(self, error: Exception) -> None:
        """Raise ModelError where a call failed because the server ended; one call alone says nothing of others."""
        process = self._process
        assert process is not None  # noqa: S101 - it was asked
        if not process.is_there or not await asyncio.to_thread(process.answers, _HEALTH_SECONDS):
            raise ended(process.cause() or str(error)) from error

    def _stop(self, thread: LoopThread) -> None:
        if self._client is not None:
            thread.run_blocking(self._client.close())
            self._client = None
        if self._process is not None:
            self._process.end()
            self._process = None


def _make_client(process: ServerProcess) -> AsyncOpenAI:
    """Make a client that knows no other way than the socket: neither a port nor a proxy."""
    import openai

    # A connection is kept for one call: the server closes those that nobody uses, maybe as the next call begins.
    limits = httpx2.Limits(max_connections=_MOST_CONNECTIONS, max_keepalive_connections=0)
    transport = httpx2.AsyncHTTPTransport(uds=str(process.socket), limits=limits)
    http = openai.DefaultAsyncHttpxClient(transport=transport, follow_redirects=False)
    return openai.AsyncOpenAI(
        base_url="http://vllm/v1", api_key=process.key, timeout=_CALL_SECONDS, max_retries=0, http_client=http
    )


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
