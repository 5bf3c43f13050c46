"""A conversation with one model: what was said, and how the next answer is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from charter.engines.base import Completion, CompletionRequest, Engine, Sampling
from charter.records import Message
from charter.seeds import derive_seed


@dataclass
class Conversation:
    """Turns with a model, after an opening that never changes (a system text, a constitution, examples)."""

    engine: Engine
    opening: Sequence[Message]
    sampling: Sampling
    turns: list[Message] = field(default_factory=list)

    async def say(self, text: str) -> Completion:
        """Say something and keep the answer; a failed or interrupted call leaves the conversation as it was."""
        asked = Message(role="user", content=text)
        request = CompletionRequest(
            messages=(*self.opening, *self.turns, asked), sampling=self._sampling(), n_shared=len(self.opening)
        )
        completion = await self.engine.complete(request)
        self.turns += [asked, Message(role="assistant", content=completion.text.strip())]
        return completion

    def reset(self) -> None:
        """Forget what was said after the opening."""
        self.turns.clear()

    def _sampling(self) -> Sampling:
        # The same question asked twice gets two draws, and the same conversation gets the same answers again.
        seed = derive_seed(self.sampling.seed, "chat", f"turn {len(self.turns)}")
        return self.sampling.model_copy(update={"seed": seed})
