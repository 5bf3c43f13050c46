"""A model of Inspect as an engine: it answers in text, and letters are read off what it says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    Model,
    ModelOutput,
)

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
from charter.engines.http.answers import weigh_options
from charter.errors import CapabilityError
from charter.records import Message

_NEVER = -700.0  # the log-probability of a letter that was not said: what normalising calls nothing
_N_TOP = 20  # tokens whose log-probabilities servers tell at most
_AROUND_A_LETTER = " \t\n()[]*.:"


@dataclass(frozen=True)
class InspectEngine:
    """An engine over a model of Inspect, which most often tells no log-probabilities.

    A choice is then all or nothing: the letter that the answer names has all of the probability. An answer that names
    none, or several, has a mass of 0, which every reader counts as invalid.

    Attributes:
        model: that is asked.
        logprobs: whether to ask for log-probabilities; where none come, the text is read.
    """

    model: Model
    logprobs: bool = False

    @property
    def identity(self) -> str:
        """The model's name: Inspect tells no more."""
        return str(self.model)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """It talks, and names letters."""
        return frozenset({"complete", "choose", "chat"})

    async def complete(self, request: CompletionRequest) -> Completion:
        """Draw a text."""
        sampling = request.sampling
        config = GenerateConfig(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            stop_seqs=list(sampling.stop) or None,
            seed=sampling.seed % 2**31,
        )
        output = await self.model.generate(_messages(request, request.prefill), config=config)
        usage = output.usage
        return Completion(
            text=output.completion,
            finish="length" if output.stop_reason == "max_tokens" else "stop",
            n_prompt_tokens=usage.input_tokens if usage else 0,
            n_completion_tokens=usage.output_tokens if usage else 0,
        )

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Ask for one of the letters, and read it."""
        *others, last = request.options
        asked = f"\n\nReply with one letter alone: {', '.join(others)} or {last}."
        config = GenerateConfig(temperature=0.0)
        if self.logprobs:
            config = config.merge(GenerateConfig(logprobs=True, top_logprobs=_N_TOP))
        output = await self.model.generate(_messages(request, asked), config=config)
        logprobs, mass = read_logprobs(output, request.options) or _said(output.completion, request.options)
        return Choice(logprobs=logprobs, mass=min(mass, 1.0), n_prompt_tokens=0)

    async def score(self, request: ScoreRequest) -> Score:
        """Refuse: Inspect's models read no given answers.

        Raises:
            CapabilityError: always.
        """
        raise CapabilityError(
            f"a model of Inspect tells no probability of a given text ({request.continuation[:40]!r}); ask it to "
            "choose or to complete"
        )

    def close(self) -> None:
        """Leave the model open: it is Inspect's."""


def read_letter(text: str, letters: Sequence[str]) -> str | None:
    """Read which letter an answer names: alone, in brackets, before a bracket, colon or stop, or behind "answer is".

    None where it names none of the letters, or two.
    """
    bare = text.strip(_AROUND_A_LETTER)
    if bare in letters:
        return bare
    one = f"({'|'.join(map(re.escape, letters))})"
    for pattern in (rf"\({one}\)", rf"(?i:\banswer(?:\s+is)?)\s*:?\s*\**{one}\b", rf"\A\W*{one}[).:,\n]"):
        if found := set(re.findall(pattern, text)):
            return found.pop() if len(found) == 1 else None
    return None


def read_logprobs(output: ModelOutput, letters: Sequence[str]) -> tuple[tuple[float, ...], float] | None:
    """Read the letters' log-probabilities where the answer's first letter stands, and what was seen of them.

    A letter's spellings count together, and one that is not among the likeliest tokens gets all that is left, as of
    servers (see ``engines.http.answers.read_choice``). None where no log-probabilities are told.
    """
    told = output.choices[0].logprobs if output.choices else None
    for token in told.content if told else ():
        if token.token.strip(_AROUND_A_LETTER) not in letters:
            continue
        top = {other.token: other.logprob for other in (token, *(token.top_logprobs or ()))}
        return weigh_options(top, letters, anywhere=True)
    return None


def _said(text: str, letters: Sequence[str]) -> tuple[tuple[float, ...], float]:
    named = read_letter(text, letters)
    return tuple(0.0 if letter == named else _NEVER for letter in letters), float(named is not None)


def _messages(request: Request, asked: str) -> list[ChatMessage]:
    """Give a request's messages, with what is asked behind the last of them."""
    messages = [_message(one) for one in request.messages or (Message(role="user", content=request.text or ""),)]
    messages[-1] = messages[-1].model_copy(update={"content": f"{messages[-1].text}{asked}"})
    return messages


def _message(one: Message) -> Any:
    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return kinds[one.role](content=one.content)
