"""The engine: an asynchronous front, and one thread that owns the model."""

from __future__ import annotations

import asyncio
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from charter.engines.base import (
    Capability,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Request,
    Score,
    ScoreRequest,
)
from charter.engines.devices import name_device
from charter.engines.rendering import Rendered, Renderer
from charter.engines.transformers.allowance import Allowance, Room
from charter.engines.transformers.jobs import Drawing, Job, Reading
from charter.engines.transformers.loading import load_model, make_decoder
from charter.engines.transformers.scheduler import Scheduler
from charter.engines.transformers.stopping import Stopping
from charter.engines.usage import PrefixStatistics
from charter.engines.weights import ModelFolder, resolve_model
from charter.errors import CapabilityError, EngineError


class TransformersEngine:
    """Generation in this process, with continuous batching and shared prefixes computed once.

    Args:
        model: a resolved model, or what ``resolve_model`` understands (a folder, an embedded name, a hub id).
        dtype: ``auto`` takes bfloat16 where the hardware multiplies it, else float32.
        device: ``auto`` takes a GPU where there is one.
        max_rows: rows that are drawn at once.
        max_batch_tokens: tokens of their own that the running rows may hold in memory; None takes as many as there is
            memory for.
        max_pass_tokens: tokens that one pass over prompts may hold; longer prompts run alone.
        max_prefix_tokens: tokens of shared prefixes that are remembered; fewer where memory is short.
        max_kept_tokens: tokens of rows that have ended, remembered for requests that go on from them; likewise.
        n_context: the longest text, if less than the model's own limit (or than its window, where all layers have
            the same wide one). Below a sliding window's width, attention is the plain one and runs fast.
        fused: whether the layers of Llama's family may be run in their faster form.

    Raises:
        ModelError: the model does not exist, cannot be loaded or must not be.
    """

    def __init__(
        self,
        model: ModelFolder | Path | str,
        *,
        dtype: str = "auto",
        device: str = "auto",
        max_rows: int = 64,
        max_batch_tokens: int | None = None,
        max_pass_tokens: int = 1_024,
        max_prefix_tokens: int = 16_384,
        max_kept_tokens: int = 12_288,
        n_context: int | None = None,
        fused: bool = True,
    ) -> None:
        folder = model if isinstance(model, ModelFolder) else resolve_model(str(model))
        loaded = load_model(folder, dtype=dtype, device=device)
        self._identity, self.dtype = loaded.identity, loaded.dtype
        self.n_context = min(loaded.n_context, n_context or loaded.n_context)
        self._renderer = Renderer(loaded.tokenizer, self.n_context)
        self._stop = threading.Event()
        decoder = make_decoder(loaded.model, self.n_context, self._stop, fused=fused)
        self.shares_prefixes = decoder.shares
        end_ids = loaded.end_ids | {self._renderer.end_of_turn}
        asked = Allowance(max_rows, max_batch_tokens, max_pass_tokens, max_prefix_tokens, max_kept_tokens)
        room = Room(name_device(loaded.model.device), decoder.token_bytes)
        self._scheduler = Scheduler(decoder, Stopping(loaded.tokenizer, end_ids), asked, room, self._stop)
        self._thread = threading.Thread(target=self._scheduler.run, name="charter-generation", daemon=True)
        self._thread.start()
        # The thread does not hold the engine: one that nobody refers to is closed, and so is one at the program's end.
        weakref.finalize(self, _end, self._stop, self._scheduler, self._thread)

    @property
    def identity(self) -> str:
        """What determines the answers: weights, adapter, tokenizer and number format."""
        return self._identity

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything; messages only with a chat template."""
        always: frozenset[Capability] = frozenset({"complete", "choose", "score", "text", "prefill"})
        return always | {"chat"} if self._renderer.chats else always

    @property
    def prefix_statistics(self) -> PrefixStatistics:
        """Prompt tokens asked for so far, and how many of them were not computed again."""
        return self._scheduler.statistics

    def count_tokens(self, request: Request) -> int:
        """Count a request's prompt tokens."""
        return len(self._renderer.render(request).ids)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Draw a text."""
        if request.json_schema is not None:
            raise CapabilityError("this engine holds no text to a schema; ask it without, or a server that does")
        rendered = self._render(request, 1)
        room = self.n_context - len(rendered.ids)
        job = Drawing(
            *self._shared(rendered),
            sampling=request.sampling,
            max_tokens=min(request.sampling.max_tokens, room),
        )
        completion: Completion = await self._answer(job)
        return completion

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Read the options' log-probabilities."""
        rendered = self._render(request, 1)
        n_prompt = len(rendered.ids)

        def conclude(logprobs: list[float]) -> Choice:
            mass = float(np.exp(logprobs).sum())
            return Choice(logprobs=tuple(logprobs), mass=mass, n_prompt_tokens=n_prompt)

        targets = [self._renderer.option_ids(request)]
        job = Reading(*self._shared(rendered), targets=targets, conclude=conclude)
        choice: Choice = await self._answer(job)
        return choice

    async def score(self, request: ScoreRequest) -> Score:
        """Read a continuation's log-probability."""
        rendered = self._render(request, 0)
        prompt = rendered.ids
        wanted = self._renderer.continuation_ids(request, prompt)
        if not wanted:
            return Score(logprob=0.0, n_tokens=0, n_prompt_tokens=len(prompt))
        self._renderer.require_room(len(prompt) + len(wanted))

        def conclude(logprobs: list[float]) -> Score:
            total = float(np.sum(logprobs))
            return Score(logprob=total, n_tokens=len(wanted), n_prompt_tokens=len(prompt))

        whole = Rendered(np.concatenate((prompt, wanted[:-1])).astype(np.int64), rendered.n_prefix)
        job = Reading(*self._shared(whole), targets=[[token] for token in wanted], conclude=conclude)
        score: Score = await self._answer(job)
        return score

    def close(self) -> None:
        """Stop the thread and give the memory back; calls that wait raise.

        A forward pass is left at its next layer, or ends where the library runs it: that is waited for.
        """
        _end(self._stop, self._scheduler, self._thread)  # not the finaliser: it must wait where Ctrl-C ends this wait

    def _render(self, request: Request, n_more: int) -> Rendered:
        if self._stop.is_set():
            raise EngineError("the engine is closed; calls after close() are not answered")
        return self._renderer.render(request, n_more)

    def _shared(self, rendered: Rendered) -> tuple[Any, int]:
        return rendered.ids, rendered.n_prefix if self.shares_prefixes else 0

    async def _answer(self, job: Job) -> Any:
        self._scheduler.submit(job)
        return await asyncio.wrap_future(job.future)


def _end(stop: threading.Event, scheduler: Scheduler, thread: threading.Thread) -> None:
    stop.set()
    scheduler.submit(None)
    if threading.current_thread() is not thread:
        # However long it takes: a program that ends while the thread is inside torch is aborted, for the interpreter
        # then ends the thread where C++ allows no unwinding.
        thread.join()
