"""The engine: any OpenAI-compatible server, or several of the same model, behind the one protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

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
from charter.engines.http.answers import judge_answer, read_choice, read_completion
from charter.engines.http.bodies import (
    Body,
    begins_anew,
    choice_body,
    completion_body,
    in_short,
    most_tokens,
    row_key,
)
from charter.engines.http.calls import Caller, Limits
from charter.engines.http.keys import find_key
from charter.engines.http.metering import Asking, Meter
from charter.engines.http.probing import Met, probe
from charter.engines.http.servers import find_server
from charter.engines.loop_thread import LoopThread
from charter.engines.spending import Spending
from charter.engines.usage import KindUsage, PrefixStatistics, Usage
from charter.errors import CapabilityError
from charter.seeds import canonical_json

AnswerT = TypeVar("AnswerT", Completion, Choice)


class HttpEngine:
    """A model behind an OpenAI-compatible server.

    What the server can do is found out when the engine is made, by a handful of the smallest calls, unless it is known.

    Args:
        model: as the server calls it.
        server: a name (``servers.SERVERS``), or addresses of servers that serve this model.
        key_name: the environment variable that holds the key; None takes the usual one of the server. A file ``.env``
            in the working directory is read besides.
        limits: of tries, time and calls at once.
        spending: what calls are counted in, and held to; None sets no end.
        met: what the server was found to do before.
        on_retry: told of each try that failed and is followed by another.
        on_refusal: told what finding out took, where nothing came of it.

    Raises:
        BudgetSpent: where finding out would go beyond the budget.
        ModelError: where there is no such server, key or model, or no price where money has an end.
        EngineError: where the server gives no answer; ``Unreachable`` where there is no connection.
    """

    def __init__(
        self,
        model: str,
        server: str | Sequence[str],
        *,
        key_name: str | None = None,
        limits: Limits | None = None,
        spending: Spending | None = None,
        met: Met | None = None,
        on_retry: Callable[[str], None] | None = None,
        on_refusal: Callable[[Usage], None] | None = None,
    ) -> None:
        self._model = model
        spending = spending or Spending()
        spending.require_price(model)
        named = find_server(server if isinstance(server, str) else tuple(server))
        name, key = find_key(named, key_name)
        self._is_closed = False
        self._thread = LoopThread(f"the engine of {model!r}")
        limits = limits or Limits()
        self._caller = Caller(named.base_urls, key, name, limits, has_answered=met is not None, on_retry=on_retry)
        self._meter = Meter(model, spending, met.asked if met else None)
        try:
            met = met or self._thread.run_blocking(probe(self._caller, model, named, self._meter))
        except BaseException:
            self.close()
            if on_refusal is not None:
                on_refusal(self._meter.taken)
            raise
        self._server, self._able = met.server, met.able
        self._met = replace(met, asked=KindUsage())

    @property
    def identity(self) -> str:
        """The model, where it is served, and in what way it is asked."""
        able = self._able
        way = [able.prefill, able.n_top, able.n_top_of_text]
        return canonical_json(["http", self._model, sorted(self._server.base_urls), way])

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the server was found to do."""
        found: set[Capability] = {"complete", "chat"}
        if self._able.n_top:
            found.add("choose")
        if self._able.reads_text:
            found.add("text")
        if self._able.holds_schema:
            found.add("schema")
        if self._able.prefill != "none":
            found.add("prefill")
        return frozenset(found)

    @property
    def found(self) -> str:
        """What the server was found to do, on a line for a person."""
        return f"{self._model} ({self._server.name}) {in_short(self._able)}"

    @property
    def met(self) -> Met:
        """What the server was found to be and to do; what asking took is counted in this engine."""
        return self._met

    @property
    def taken(self) -> Usage:
        """What it took so far: answers, failed tries, calls called off, and finding out what the server can do.

        Where the server did not say what a try took, it is counted at the most that it can come to: it may be paid for.
        """
        return self._meter.taken

    @property
    def prefix_statistics(self) -> PrefixStatistics:
        """Prompt tokens of answers, and how many of them the server had in memory."""
        return self._meter.prefixes

    async def complete(self, request: CompletionRequest) -> Completion:
        """Draw a text."""
        body = completion_body(request, self._model, self._server, self._able)
        may_repeat = request.messages is not None and (self._able.repeats_prefill or begins_anew(request, self._able))
        repeated = request.prefill if may_repeat else ""

        def read(answer: dict[str, Any]) -> Completion:
            return read_completion(answer, prefill=repeated, stops=request.sampling.stop)

        return await self._put(body, request, read)

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Read the options' log-probabilities off the likeliest tokens."""
        body = choice_body(request, self._model, self._server, self._able)
        anywhere = begins_anew(request, self._able)
        return await self._put(body, request, lambda answer: read_choice(answer, request.options, anywhere=anywhere))

    async def score(self, request: ScoreRequest) -> Score:  # noqa: ARG002 - the protocol's
        """Refuse: such servers tell the log-probabilities of what they draw alone.

        Raises:
            CapabilityError: always.
        """
        self._lacks("tells no log-probabilities of given texts; take a local engine for what is trained and measured")

    def close(self) -> None:
        """Close the connections and end the thread; calls after this raise."""
        if not self._is_closed:
            self._is_closed = True
            self._thread.cancel()  # first: a call that finds its connections closed takes that for a bug
            self._thread.run_blocking(self._caller.close())
            self._thread.close()

    async def _put(self, body: Body, request: Request, read: Callable[[dict[str, Any]], AnswerT]) -> AnswerT:
        kind: Asking = "complete" if isinstance(request, CompletionRequest) else "choose"
        metered = self._meter.call(kind, most_tokens(request, body, self._able))

        def read_text(text: str) -> AnswerT:
            return metered.read(text, lambda answer: read(judge_answer(answer, self._able)))

        return await self._thread.run(self._caller.put(body, row_key(request), read_text, metered.hold))

    def _lacks(self, what: str) -> NoReturn:
        raise CapabilityError(f"the server of {self._model!r} {what}")
