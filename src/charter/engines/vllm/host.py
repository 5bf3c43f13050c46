"""vLLM in this process: its asynchronous engine, whose work is done in processes of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import wait
from pathlib import Path
from typing import IO, Any

from charter.engines.loop_thread import LoopThread
from charter.engines.vllm.base import Host
from charter.engines.vllm.launch import Launch, default_environment, ended, find_cause
from charter.engines.vllm.requests import Output, Parameters
from charter.engines.vllm.watch import Watch
from charter.errors import EngineError, ModelError

_LOOK_SECONDS = 0.1


class InProcessHost(Host):
    """A base model in vLLM's asynchronous engine."""

    def __init__(self, launch: Launch) -> None:
        super().__init__(launch)
        self._calls = itertools.count()
        self._vllm: Any = None
        self._paths: dict[str, Path] = {}
        self._log: IO[bytes] | None = None
        self._watch: Watch | None = None

    @property
    def n_context(self) -> int:
        """The longest text."""
        return int(self._vllm.model_config.max_model_len)

    def _start(self) -> None:
        os.environ.update(default_environment() | os.environ)
        self._log = tempfile.TemporaryFile(prefix="charter-vllm-")  # noqa: SIM115 - as long as the processes live
        thread = LoopThread("this engine")
        try:
            with _output_into(self._log):
                self._watch = Watch()
                loading = thread.start(_load(self._launch.arguments))
                while not wait([loading], _LOOK_SECONDS).done:
                    self._watch.look()
                self._watch.look()
                self._vllm = loading.result()
        except BaseException as error:
            self._end_watch()
            thread.close()
            cause = self._take_cause() or str(error)
            if not isinstance(error, Exception):
                raise
            raise ModelError(f"vLLM cannot load the model in {self._launch.base}: {cause}") from error
        self._thread = thread

    def _put_on(self, name: str, adapter: Path) -> None:
        self._paths[name] = adapter

    async def _generate(self, ids: list[int], parameters: Parameters, adapter: str | None) -> Output:
        from vllm import TokensPrompt
        from vllm.lora.request import LoRARequest
        from vllm.v1.engine.exceptions import EngineDeadError

        lora = None
        if adapter is not None:
            number = list(self._paths).index(adapter) + 1
            lora = LoRARequest(lora_name=adapter, lora_int_id=number, lora_path=str(self._paths[adapter]))
        call, prompt = f"call-{next(self._calls)}", TokensPrompt(prompt_token_ids=ids)
        last = None
        try:
            async for output in self._vllm.generate(prompt, _sampling(parameters), call, lora_request=lora):
                last = output
        except EngineDeadError as error:
            raise ended(self._take_cause() or "it does not say why") from error
        except ValueError as error:
            raise EngineError(f"vLLM refuses the call: {error}") from error
        if last is None:
            raise EngineError("vLLM gave no output for a call; ask again")
        return _read(last)

    def _stop(self, thread: LoopThread) -> None:
        thread.run_blocking(_shut_down(self._vllm))
        self._vllm = None
        self._paths.clear()
        self._end_watch()
        self._take_cause()

    def _end_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _take_cause(self) -> str:
        """Read out of the log why vLLM ended, and close it."""
        if self._log is None:
            return ""
        with self._log:
            self._log.seek(0)
            cause = find_cause(self._log.read().decode("utf-8", "replace"))
        self._log = None
        return cause


async def _load(arguments: Mapping[str, Any]) -> Any:
    from vllm import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))


async def _shut_down(vllm: Any) -> None:
    vllm.shutdown()


def _sampling(parameters: Parameters) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    held = parameters.get("structured_outputs")
    told = {
        "structured_outputs": StructuredOutputsParams(**held) if held else None,
        "output_kind": RequestOutputKind.FINAL_ONLY,  # else every row would be told of every token
    }
    return SamplingParams(**{**parameters, **told})


def _read(given: Any) -> Output:
    drawn = given.outputs[0]
    return Output(
        text=drawn.text,
        finish=drawn.finish_reason,
        n_prompt_tokens=len(given.prompt_token_ids),
        n_cached_tokens=given.num_cached_tokens or 0,
        n_tokens=len(drawn.token_ids),
        logprobs=_values(drawn.logprobs[0]) if drawn.logprobs else {},
        prompt_logprobs=[place and _values(place) for place in given.prompt_logprobs or ()],
    )


def _values(place: Mapping[int, Any]) -> dict[int, float]:
    return {token: float(told.logprob) for token, told in place.items()}


@contextlib.contextmanager
def _output_into(log: IO[bytes]) -> Iterator[None]:
    """Send what is written to the terminal into a file: processes begun meanwhile keep writing there."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    try:
        for number in kept:
            os.dup2(log.fileno(), number)
        yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
