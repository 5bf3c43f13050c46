"""What requests to an engine came to: calls, answers from memory, tokens."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import Field

from charter.engines.base import Choice, Completion, Score
from charter.records import Record

Kind = Literal["complete", "choose", "score"]


class KindUsage(Record):
    """What one kind of request came to.

    ``n_calls`` were put to the engine, failed ones included; ``n_hits`` were answered from memory, or by an identical
    call that was in flight. The tokens are those of the calls alone; a score's completion tokens are those scored.
    """

    n_calls: int = 0
    n_hits: int = 0
    n_prompt_tokens: int = 0
    n_completion_tokens: int = 0

    def __add__(self, other: KindUsage) -> KindUsage:
        return KindUsage(
            n_calls=self.n_calls + other.n_calls,
            n_hits=self.n_hits + other.n_hits,
            n_prompt_tokens=self.n_prompt_tokens + other.n_prompt_tokens,
            n_completion_tokens=self.n_completion_tokens + other.n_completion_tokens,
        )


class Usage(Record):
    """What an engine's requests came to, by kind.

    ``n_prompt_tokens_from_prefix`` are those of all kinds' prompt tokens that were not computed, because a prompt
    before had begun alike; 0 where the engine shares nothing. ``failed_tries`` are those of calls to a server that
    were not answered, by their cause; most calls were tried again and answered.
    """

    complete: KindUsage = KindUsage()
    choose: KindUsage = KindUsage()
    score: KindUsage = KindUsage()
    n_prompt_tokens_from_prefix: int = 0
    failed_tries: dict[str, int] = Field(default_factory=dict)

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            complete=self.complete + other.complete,
            choose=self.choose + other.choose,
            score=self.score + other.score,
            n_prompt_tokens_from_prefix=self.n_prompt_tokens_from_prefix + other.n_prompt_tokens_from_prefix,
            failed_tries=dict(Counter(self.failed_tries) + Counter(other.failed_tries)),
        )

    @property
    def total(self) -> KindUsage:
        """All kinds together."""
        return self.complete + self.choose + self.score


@dataclass(slots=True)
class KindTally:
    """The usage of one kind of request while it is counted."""

    n_calls: int = 0
    n_hits: int = 0
    n_prompt_tokens: int = 0
    n_completion_tokens: int = 0

    @property
    def usage(self) -> KindUsage:
        """What has been counted so far."""
        return KindUsage(**asdict(self))

    def add(self, n_prompt: int, n_completion: int) -> None:
        """Count a call and its tokens."""
        self.n_calls += 1
        self.n_prompt_tokens += n_prompt
        self.n_completion_tokens += n_completion

    def add_tokens(self, answer: Completion | Choice | Score) -> None:
        """Count the tokens of a call that was answered."""
        self.n_prompt_tokens += answer.n_prompt_tokens
        match answer:
            case Completion(n_completion_tokens=n_tokens) | Score(n_tokens=n_tokens):
                self.n_completion_tokens += n_tokens


@dataclass(slots=True)
class PrefixStatistics:
    """Prompt tokens asked for, and how many of them were not computed again, as far as the engine can tell."""

    n_prompt_tokens: int = 0
    n_from_cache: int = 0

    def __add__(self, other: PrefixStatistics) -> PrefixStatistics:
        return PrefixStatistics(self.n_prompt_tokens + other.n_prompt_tokens, self.n_from_cache + other.n_from_cache)
