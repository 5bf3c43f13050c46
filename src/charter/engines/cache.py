"""Any engine, remembered: an identical request is put to the model once."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from charter.engines.base import (
    Capability,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Engine,
    Request,
    Score,
    ScoreRequest,
)
from charter.engines.loop_thread import TooLate
from charter.engines.usage import Kind, KindTally, PrefixStatistics, Usage
from charter.errors import EngineError, JournalError

AskedT = TypeVar("AskedT", bound=Request)
AnswerT = TypeVar("AnswerT", Completion, Choice, Score)


class CompletionMemory(Protocol):
    """Where answers are kept, as text under a key."""

    def get(self, key: str) -> str | None:
        """Recall a payload; None where there is none."""
        ...

    def put(self, key: str, payload: str) -> None:
        """Remember a payload."""
        ...


class Readable(Protocol):
    """Where answers of another run can be looked up."""

    def get(self, key: str) -> str | None:
        """Recall a payload; None where there is none."""
        ...


class BorrowingMemory:
    """A memory that looks elsewhere for what it does not know, and keeps what it finds.

    Keys hold everything that determines an answer: what another run was told to the same question is the answer here.

    Attributes:
        n_borrowed: how many answers were taken over so far.
    """

    def __init__(self, own: CompletionMemory, others: Sequence[Readable]) -> None:
        self._own = own
        self._others = tuple(others)
        self.n_borrowed = 0

    def get(self, key: str) -> str | None:
        """Recall a payload, from elsewhere where it is not known here."""
        payload = self._own.get(key)
        if payload is not None or not self._others:
            return payload
        payload = next((found for other in self._others if (found := other.get(key)) is not None), None)
        if payload is not None:
            self._own.put(key, payload)
            self.n_borrowed += 1
        return payload

    def put(self, key: str, payload: str) -> None:
        """Remember a payload."""
        self._own.put(key, payload)


class DictMemory:
    """A memory that lasts as long as the process."""

    def __init__(self) -> None:
        self._payloads: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._payloads)

    def get(self, key: str) -> str | None:
        """Recall a payload; None where there is none."""
        return self._payloads.get(key)

    def put(self, key: str, payload: str) -> None:
        """Remember a payload."""
        self._payloads[key] = payload


@runtime_checkable
class _SharesPrefixes(Protocol):
    """An engine that computes what prompts have in common once, and counts what that saved."""

    @property
    def prefix_statistics(self) -> PrefixStatistics: ...


@runtime_checkable
class _CountsItself(Protocol):
    """An engine that counts all that it takes by itself, and is the only one that does."""

    @property
    def taken(self) -> Usage: ...


class _Flight:
    """A call on its way, which its caller makes, and those that wait for it beside the caller."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[Completion | Choice | Score | None]] = []

    async def wait(self) -> Completion | Choice | Score | None:
        """Wait for the answer; None where the call was given up, because its caller was."""
        waiting: asyncio.Future[Completion | Choice | Score | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        return await waiting

    def end(self, end: Completion | Choice | Score | BaseException) -> None:
        """Tell all that wait how the call ended."""
        for waiting in self._waiting:
            if waiting.done():  # it was cancelled meanwhile
                continue
            if isinstance(end, Exception):
                waiting.set_exception(end)
            else:
                waiting.set_result(None if isinstance(end, BaseException) else end)


class CachedEngine:
    """Put each request to an engine once, and answer it from memory ever after.

    Identical requests that are made at the same time share one call. Where the caller that makes it is cancelled, so
    is the call, and one of those that wait makes it anew. Errors are not remembered: the next identical request is put
    to the engine again. A greedy request is the same whatever its seed.

    Args:
        engine: what is asked; closed with this one, and let go of then, so that its memory is free.
        memory: where answers are kept; it outlives this engine.
    """

    def __init__(self, engine: Engine, memory: CompletionMemory) -> None:
        self._engine: Engine | None = engine
        self._identity, self._capabilities = engine.identity, engine.capabilities
        self._memory = memory
        self._prefixes = PrefixStatistics()
        self._taken = Usage()
        self._counts_itself = isinstance(engine, _CountsItself)
        self._flights: dict[tuple[int, str], _Flight] = {}
        self._usage: dict[Kind, KindTally] = {"complete": KindTally(), "choose": KindTally(), "score": KindTally()}

    @property
    def identity(self) -> str:
        """The engine's own."""
        return self._identity

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The engine's own."""
        return self._capabilities

    @property
    def usage(self) -> Usage:
        """What the requests so far came to."""
        n_shared = self._prefix_statistics.n_from_cache
        kinds = {kind: tally.usage for kind, tally in self._usage.items()}
        # A call that failed counts no tokens, but what it began with may have been shared.
        n_prompt = sum(kind.n_prompt_tokens for kind in kinds.values())
        taken = self._engine.taken if isinstance(self._engine, _CountsItself) else self._taken
        return Usage(**kinds, n_prompt_tokens_from_prefix=min(n_shared, n_prompt)) + taken

    async def complete(self, request: CompletionRequest) -> Completion:
        """Draw a text, or recall it.

        Raises:
            EngineError: the engine's own, or after ``close``.
            JournalError: where the memory holds something else under the request's key.
        """
        return await self._ask("complete", request, Completion, self._open.complete)

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Read the options' log-probabilities, or recall them; raises as ``complete`` does."""
        return await self._ask("choose", request, Choice, self._open.choose)

    async def score(self, request: ScoreRequest) -> Score:
        """Read a continuation's log-probability, or recall it; raises as ``complete`` does."""
        return await self._ask("score", request, Score, self._open.score)

    def close(self) -> None:
        """Close the engine; the memory stays as it is."""
        if self._engine is not None:
            self._prefixes = self._prefix_statistics
            self._engine.close()
            if isinstance(self._engine, _CountsItself):  # once it is closed: what was under way was called off
                self._taken = self._engine.taken
            self._engine = None

    @property
    def _prefix_statistics(self) -> PrefixStatistics:
        return self._engine.prefix_statistics if isinstance(self._engine, _SharesPrefixes) else self._prefixes

    @property
    def _open(self) -> Engine:
        if self._engine is None:
            raise EngineError(f"the engine {self.identity!r} is closed; make a new one")
        return self._engine

    async def _ask(
        self, kind: Kind, request: AskedT, answer: type[AnswerT], ask: Callable[[AskedT], Awaitable[AnswerT]]
    ) -> AnswerT:
        key = _without_idle_seed(request).key(self.identity)
        # A loop can wait for its own calls only, and each stage runs in a loop of its own.
        place = (id(asyncio.get_running_loop()), key)
        while (flight := self._flights.get(place)) is not None:
            if (result := await flight.wait()) is not None:
                self._usage[kind].n_hits += 1
                return self._checked(answer, result)
        payload = self._memory.get(key)
        if payload is not None:
            self._usage[kind].n_hits += 1
            return _recalled(answer, payload, key)
        flight = self._flights[place] = _Flight()
        try:
            result = await self._put_through(kind, key, request, ask)
        except BaseException as error:
            flight.end(error)
            raise
        finally:
            # Whoever asks from now on must not join a call that is done or given up.
            del self._flights[place]
        flight.end(result)
        return self._checked(answer, result)

    def _checked(self, answer: type[AnswerT], result: Completion | Choice | Score) -> AnswerT:
        if not isinstance(result, answer):
            raise EngineError(
                f"the engine {self.identity!r} answered with {type(result).__name__}, not {answer.__name__}"
            )
        return result

    async def _put_through(
        self, kind: Kind, key: str, request: AskedT, ask: Callable[[AskedT], Awaitable[AnswerT]]
    ) -> AnswerT:
        if not self._counts_itself:
            self._usage[kind].n_calls += 1
        try:
            result = await ask(request)
        except TooLate as late:
            if isinstance(late.result, Completion | Choice | Score):  # some engines make it one only here
                with contextlib.suppress(EngineError, JournalError):  # nobody waits any more who could be told
                    self._keep(kind, key, late.result)
            raise
        self._keep(kind, key, result)
        return result

    def _keep(self, kind: Kind, key: str, result: Completion | Choice | Score) -> None:
        """Count an answer, where that is done here, and remember it."""
        _require_finite(self.identity, result)
        if not self._counts_itself:
            self._usage[kind].add_tokens(result)
        self._memory.put(key, result.to_json())


def _without_idle_seed(request: Request) -> Request:
    if not isinstance(request, CompletionRequest) or request.sampling.temperature > 0.0:
        return request
    return request.model_copy(update={"sampling": request.sampling.model_copy(update={"seed": 0})})


def _recalled(answer: type[AnswerT], payload: str, key: str) -> AnswerT:
    try:
        return answer.from_json(payload)
    except ValueError as error:  # pydantic's and the JSON reader's are both one
        raise JournalError(
            f"what is remembered under {key} is not a {answer.__name__}: {error}; it was written by another version "
            "or damaged: start a new run folder"
        ) from error


def _require_finite(identity: str, result: Completion | Choice | Score) -> None:
    # JSON holds no infinity: it would be written as null, and come back as damage.
    match result:
        case Choice(logprobs=logprobs, mass=mass):
            values: tuple[float, ...] = (*logprobs, mass)
        case Score(logprob=logprob):
            values = (logprob,)
        case _:
            values = ()
    if not all(math.isfinite(value) for value in values):
        raise EngineError(f"the engine {identity!r} answered with a log-probability that is not finite: {values}")
