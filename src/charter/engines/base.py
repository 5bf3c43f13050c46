"""The engine protocol: what every way of reaching a model can be asked, and what it answers.

An engine is asynchronous: rows call it by the hundred at once, and it batches what is there. What it can do is asked
before a run (``capabilities``), not found missing inside it.
"""

from __future__ import annotations

from typing import Literal, Protocol, Self, runtime_checkable

from pydantic import Field, model_validator

from charter.engines.request_hash import hash_messages
from charter.records import Message, Record
from charter.seeds import canonical_json, digest_text

Capability = Literal["complete", "choose", "score", "chat", "text", "schema", "prefill"]
Finish = Literal["stop", "length"]


class Sampling(Record):
    """How a completion is drawn. ``temperature`` 0 is greedy; ``seed`` belongs to the row alone."""

    max_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=1.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    stop: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)


class Request(Record):
    """What a model is shown: chat messages (through its template) or raw text, never both.

    ``prefill`` is text that the answer is made to begin with; it is rendered verbatim after the template's own
    assistant header (or after ``text``). An engine without the capability ``prefill`` asks for it in words.
    ``n_shared`` is a hint, not part of the request's identity: how many of the first messages (or of the first
    characters of ``text``) are the same in many rows, so that an engine can compute them once.
    """

    messages: tuple[Message, ...] | None = None
    text: str | None = None
    prefill: str = ""
    n_shared: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one_kind_of_input(self) -> Self:
        if (self.messages is None) == (self.text is None):
            raise ValueError("a request carries either messages or text")
        return self

    def key(self, engine: str) -> str:
        """Identify this request put to one engine: a hash that excludes every hint (DESIGN: identity)."""
        fields = self.model_dump(mode="json", exclude={"n_shared", "messages"}) | {"messages": None}
        if fields.get("json_schema", "") is None:  # what is not asked for has no part in it
            del fields["json_schema"]
        written = canonical_json([type(self).__name__, engine, fields])
        if self.messages is None:
            return digest_text(written)
        # Inside of a string the quotation marks would be escaped: there is one such place.
        before, _, after = written.partition('"messages":null')
        return hash_messages(f'{before}"messages":', self.messages, after, n_shared=self.n_shared)


class CompletionRequest(Request):
    """Ask for text; with ``json_schema`` (a schema, as text) for JSON that satisfies it (capability ``schema``)."""

    sampling: Sampling = Sampling()
    json_schema: str | None = None


class ChoiceRequest(Request):
    """Ask for the log-probabilities of the options, each one token in its context, from one forward pass."""

    options: tuple[str, ...] = Field(default=("A", "B"), min_length=2)


class ScoreRequest(Request):
    """Ask for the log-probability of a given continuation, with the template's end-of-turn token if ``end_turn``."""

    continuation: str
    end_turn: bool = False


class Completion(Record):
    """A drawn text. ``finish`` ``length`` means that it was cut at ``max_tokens`` or at the model's context."""

    text: str
    finish: Finish
    n_prompt_tokens: int
    n_completion_tokens: int


class Choice(Record):
    """Log-probabilities (natural) of the options, in the order asked; ``mass`` is their summed probability."""

    logprobs: tuple[float, ...]
    mass: float
    n_prompt_tokens: int


class Score(Record):
    """The summed log-probability (natural) of a continuation, and its number of tokens."""

    logprob: float
    n_tokens: int
    n_prompt_tokens: int


@runtime_checkable
class Engine(Protocol):
    """A model that can be asked. Implementations raise ``EngineError``; they never return a default."""

    @property
    def identity(self) -> str:
        """What determines its answers: weights and adapter, dtype, quantisation; never batch size or device."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can be asked for."""
        ...

    async def complete(self, request: CompletionRequest) -> Completion:
        """Draw a text."""
        ...

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Read the options' log-probabilities."""
        ...

    async def score(self, request: ScoreRequest) -> Score:
        """Read a continuation's log-probability."""
        ...

    def close(self) -> None:
        """Give back memory and threads; calls after this raise."""
        ...
