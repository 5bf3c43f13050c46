"""What the tries of a call took: as the server counts it, and at the most where it was sent and did not say."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from charter.engines.http.answers import Took, read_object, read_took
from charter.engines.http.calls import Try
from charter.engines.spending import Spending, Taken
from charter.engines.usage import KindTally, KindUsage, PrefixStatistics, Usage

AnswerT = TypeVar("AnswerT")
Asking = Literal["complete", "choose"]


class Meter:
    """Counts for one engine what its calls took, in the run's spending too; nobody else counts them.

    Args:
        model: that is asked.
        spending: what every try is held to, and counted in.
        asked: what finding out about the server took before; it is counted here.
    """

    def __init__(self, model: str, spending: Spending, asked: KindUsage | None = None) -> None:
        asked = asked or KindUsage()
        self._model = model
        self._spending = spending
        self._tallies = {"complete": KindTally(**asked.model_dump()), "choose": KindTally()}
        self._n_cached = 0
        self._failed: Counter[str] = Counter()
        self.prefixes = PrefixStatistics()
        spending.count(model, asked.n_prompt_tokens, asked.n_completion_tokens)

    @property
    def taken(self) -> Usage:
        """What was taken so far: by answers, also where nobody waited for them any more, by failed tries, by probes."""
        kinds = {kind: tally.usage for kind, tally in self._tallies.items()}
        return Usage(**kinds, n_prompt_tokens_from_prefix=self._n_cached, failed_tries=dict(self._failed))

    def call(self, kind: Asking, most: tuple[int, int]) -> CallMeter:
        """Begin with a call that can come to so many tokens, read and drawn, at most."""
        return CallMeter(self, kind, most)

    @contextlib.asynccontextmanager
    async def hold(self, call: CallMeter) -> AsyncIterator[Try]:
        """Hold the most that a try of a call can come to, and count what it took once it has ended."""
        taken, attempt = Taken(), Try()
        async with self._spending.hold(self._model, *call.most, taken):
            self._tallies[call.kind].n_calls += not call.is_begun
            call.begin()
            try:
                yield attempt
            finally:
                took = call.told or (Took(*call.most) if attempt.may_cost else Took())
                taken.took(*took)
                self._note(call, took)
                if attempt.cause:
                    self._failed[attempt.cause] += 1

    def _note(self, call: CallMeter, took: Took) -> None:
        tally = self._tallies[call.kind]
        tally.n_prompt_tokens += took.n_prompt
        tally.n_completion_tokens += took.n_completion
        self._n_cached += took.n_cached
        if call.is_answered:
            self.prefixes.n_prompt_tokens += took.n_prompt
            self.prefixes.n_from_cache += took.n_cached


@dataclass
class CallMeter:
    """What is known of the try of a call that is under way.

    Args:
        meter: what it is counted in.
        kind: of the call.
        most: tokens that a try can come to, read and drawn.
        is_begun: whether it was tried at all.
        told: what the server said that it took.
        is_answered: whether there was an answer that can be read.
    """

    meter: Meter = field(repr=False)
    kind: Asking
    most: tuple[int, int]
    is_begun: bool = False
    told: Took | None = None
    is_answered: bool = False

    def begin(self) -> None:
        """Begin with a try, of which nothing is known."""
        self.is_begun, self.told, self.is_answered = True, None, False

    def hold(self) -> contextlib.AbstractAsyncContextManager[Try]:
        """Make what a try happens in."""
        return self.meter.hold(self)

    def read(self, text: str, read: Callable[[dict[str, Any]], AnswerT]) -> AnswerT:
        """Note what a server says that it took, and only then see whether what it sent is an answer."""
        answer = read_object(text)
        self.told = read_took(answer)
        found = read(answer)
        self.is_answered = True
        return found
