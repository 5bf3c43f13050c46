"""How many tokens requests come to, before any model reads them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from charter.engines.base import Request
from charter.records import Message, Prompt

CountTokens = Callable[[str], float]

_CHARACTERS_PER_TOKEN = 4  # of English text, about
_TOKENS_PER_TURN = 4  # what a chat template puts around a message


def estimate_tokens(text: str) -> float:
    """Estimate a text's tokens from its characters."""
    return len(text) / _CHARACTERS_PER_TOKEN


@dataclass(frozen=True)
class Size:
    """A request's tokens: those that it shares with other rows, and its own."""

    shared: float = 0.0
    own: float = 0.0


@dataclass(frozen=True)
class Sizer:
    """Measures conversations and requests with one way to count tokens.

    A system text that a chat template brings with it is left out: to know it, one would have to run the template.
    """

    count: CountTokens = estimate_tokens

    def messages(self, messages: Sequence[Message]) -> float:
        """Count a conversation with what a chat template puts around its turns."""
        return sum(self.count(message.content) + _TOKENS_PER_TURN for message in messages)

    def prompt(self, prompt: Prompt) -> float:
        """Count a prompt put as it is."""
        return self.messages(prompt.turns)

    def request(self, request: Request) -> Size:
        """Count a request's shared beginning, and the rest."""
        if request.messages is None:
            text = request.text or ""
            return Size(self.count(text[: request.n_shared]), self.count(text[request.n_shared :] + request.prefill))
        shared, own = request.messages[: request.n_shared], request.messages[request.n_shared :]
        return Size(self.messages(shared), self.messages(own) + self.count(request.prefill))

    def mean_prompt(self, prompts: Sequence[Prompt]) -> float:
        """Count the mean prompt; 0 of none."""
        return sum(map(self.prompt, prompts)) / len(prompts) if prompts else 0.0

    def mean_request(self, requests: Iterable[Request]) -> Size:
        """Count the mean of requests that share their beginning."""
        sizes = [self.request(request) for request in requests]
        if not sizes:
            return Size()
        return Size(sizes[0].shared, sum(size.own for size in sizes) / len(sizes))


@dataclass(frozen=True)
class Work:
    """Calls of one kind: ``n`` of them, which read and write so many tokens each, behind ``shared`` tokens of all."""

    n: float
    read: float
    written: float = 0.0
    shared: float = 0.0

    @property
    def attended(self) -> float:
        """Count, of every token that is read or written, the tokens before it: attention looks at them all."""
        own = self.read + self.written
        return self.n * own * (self.shared + own / 2) + self.shared**2 / 2


@dataclass
class Load:
    """What is put on one model, as it adds up. What calls share is read once."""

    works: list[Work] = field(default_factory=list)

    @property
    def calls(self) -> float:
        """How often the model is asked."""
        return sum(work.n for work in self.works)

    @property
    def prompt_tokens(self) -> float:
        """Tokens read."""
        return sum(work.n * work.read + work.shared for work in self.works)

    @property
    def completion_tokens(self) -> float:
        """Tokens written."""
        return sum(work.n * work.written for work in self.works)

    @property
    def repeated_tokens(self) -> float:
        """Tokens that calls share, each time but the first: a server counts them with every call."""
        return sum((work.n - 1) * work.shared for work in self.works)

    @property
    def attended(self) -> float:
        """Tokens before each token, of all that are read or written."""
        return sum(work.attended for work in self.works)

    def add(self, n: float, read: float, written: float = 0.0, *, shared: float = 0.0) -> None:
        """Add ``n`` calls that read and write so many tokens each; what they share is read once."""
        if n:
            self.works.append(Work(n, read, written, shared))

    def scaled(self, factor: float) -> Load:
        """Give the load of so many times the calls; what they share is still read once."""
        return Load([replace(work, n=work.n * factor) for work in self.works])
