"""How critique and revision are put to a model: one function a request, one class a layout.

Within a round the revision request begins with the very messages of the critique request, and over all rows the
requests share system text and few-shots: engines compute those once (``Request.n_shared``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Protocol

from charter.constitution.model import Constitution, FewShotChoice, Principle, ReviseExample
from charter.engines.base import Capability, Completion, CompletionRequest, Sampling
from charter.records import Message, Prompt

LayoutName = Literal["chat", "transcript"]

_EXAMPLE_END = "\n\n####"
_HUMAN, _ASSISTANT = "\n\nHuman: ", "\n\nAssistant:"
_CRITIQUE_REQUEST, _CRITIQUE = "\n\nCritique Request: ", "\n\nCritique:"
_REVISION_REQUEST, _REVISION = "\n\nRevision Request: ", "\n\nRevision:"
# The separator ends a text only as a line of its own: Markdown writes a heading behind the same four marks.
_TRANSCRIPT_STOPS = (_HUMAN.rstrip(), _CRITIQUE_REQUEST.rstrip(), _REVISION_REQUEST.rstrip(), f"{_EXAMPLE_END}\n")
_END_LINE = re.compile(rf"{_EXAMPLE_END}[ \t]*(?:\n|\Z)")


class Layout(Protocol):
    """Renders the three requests of a chain, and reads what comes of them."""

    @property
    def needs(self) -> Capability:
        """What an engine must be able to read."""
        ...

    @property
    def examples(self) -> tuple[ReviseExample, ...]:
        """The worked examples that are shown."""
        ...

    def initial(self, prompt: Prompt, sampling: Sampling) -> CompletionRequest:
        """Ask for the initial response."""
        ...

    def critique(self, prompt: Prompt, response: str, principle: Principle, sampling: Sampling) -> CompletionRequest:
        """Ask for a critique of the response."""
        ...

    def revision(
        self, prompt: Prompt, response: str, principle: Principle, critique: str, sampling: Sampling
    ) -> CompletionRequest:
        """Ask for a revision after the critique."""
        ...

    def read(self, completion: Completion) -> Completion:
        """Take the layout's own marks off what came of a request."""
        ...


def make_layout(
    name: LayoutName, constitution: Constitution, *, few_shots: FewShotChoice = "all", n_few_shots: int | None = None
) -> Layout:
    """Make a layout by name, with the constitution's worked examples (see ``FewShots.choose``)."""
    examples = constitution.few_shots.choose(few_shots, n_few_shots)
    if name == "transcript":
        return TranscriptLayout(examples)
    return ChatLayout(_system_text(constitution), examples)


def _system_text(constitution: Constitution) -> str:
    """Join the critique's and the revision's system texts: one text for both keeps a round's calls sharing tokens."""
    texts = dict.fromkeys((constitution.system.critique, constitution.system.revise))
    return "\n".join(text for text in texts if text)


@dataclass(frozen=True)
class ChatLayout:
    """Through the model's chat template: each step of the chain is a turn."""

    system: str
    examples: tuple[ReviseExample, ...]
    needs: ClassVar[Capability] = "chat"

    def initial(self, prompt: Prompt, sampling: Sampling) -> CompletionRequest:
        """Ask for the initial response: the prompt's own turns, nothing added."""
        return CompletionRequest(messages=prompt.turns, sampling=sampling)

    def critique(self, prompt: Prompt, response: str, principle: Principle, sampling: Sampling) -> CompletionRequest:
        """Ask for a critique: system, examples, the prompt, the response, the principle's critique request."""
        shared = self._shared
        messages = (*shared, *self._until_critique(prompt, response, principle))
        return CompletionRequest(messages=messages, sampling=sampling, n_shared=len(shared))

    def revision(
        self, prompt: Prompt, response: str, principle: Principle, critique: str, sampling: Sampling
    ) -> CompletionRequest:
        """Ask for a revision: the critique's messages, the critique, the principle's revision request."""
        shared = self._shared
        messages = (
            *shared,
            *self._until_critique(prompt, response, principle),
            Message(role="assistant", content=critique),
            Message(role="user", content=principle.revision_request),
        )
        return CompletionRequest(messages=messages, sampling=sampling, n_shared=len(shared))

    def read(self, completion: Completion) -> Completion:
        """Take a turn as it is."""
        return completion

    def _until_critique(self, prompt: Prompt, response: str, principle: Principle) -> tuple[Message, ...]:
        return (
            *(turn for turn in prompt.turns if turn.role != "system"),
            Message(role="assistant", content=response),
            Message(role="user", content=principle.critique_request),
        )

    @cached_property
    def _shared(self) -> tuple[Message, ...]:
        system = (Message(role="system", content=self.system),) if self.system else ()
        return (*system, *(message for example in self.examples for message in _example_turns(example)))


def _example_turns(example: ReviseExample) -> tuple[Message, ...]:
    return (
        *example.messages,
        Message(role="user", content=example.critique_request),
        Message(role="assistant", content=example.critique),
        Message(role="user", content=example.revision_request),
        Message(role="assistant", content=example.revision),
    )


@dataclass(frozen=True)
class TranscriptLayout:
    """Raw text with stop strings, for base models (CAI §3.1)."""

    examples: tuple[ReviseExample, ...]
    needs: ClassVar[Capability] = "text"

    def initial(self, prompt: Prompt, sampling: Sampling) -> CompletionRequest:
        """Ask for the initial response after ``Assistant:``."""
        return CompletionRequest(text=_turns_text(prompt.turns) + _ASSISTANT, sampling=_with_stops(sampling))

    def critique(self, prompt: Prompt, response: str, principle: Principle, sampling: Sampling) -> CompletionRequest:
        """Ask for a critique after ``Critique:``."""
        shared = self._shared
        text = shared + self._until_critique(prompt, response, principle)
        return CompletionRequest(text=text, sampling=_with_stops(sampling), n_shared=len(shared))

    def revision(
        self, prompt: Prompt, response: str, principle: Principle, critique: str, sampling: Sampling
    ) -> CompletionRequest:
        """Ask for a revision after ``Revision:``."""
        shared = self._shared
        text = (
            f"{shared}{self._until_critique(prompt, response, principle)} {critique}"
            f"{_REVISION_REQUEST}{principle.revision_request}{_REVISION}"
        )
        return CompletionRequest(text=text, sampling=_with_stops(sampling), n_shared=len(shared))

    def read(self, completion: Completion) -> Completion:
        """End a text at the separator, also where that was the last thing drawn and no stop string was whole yet."""
        end = _END_LINE.search(completion.text)
        if end is None:
            return completion
        return completion.model_copy(update={"text": completion.text[: end.start()], "finish": "stop"})

    def _until_critique(self, prompt: Prompt, response: str, principle: Principle) -> str:
        conversation = f"{_turns_text(prompt.turns)}{_ASSISTANT} {response}"
        return f"{conversation}{_CRITIQUE_REQUEST}{principle.critique_request}{_CRITIQUE}"

    @cached_property
    def _shared(self) -> str:
        return "".join(_example_text(example) + _EXAMPLE_END for example in self.examples)


def _example_text(example: ReviseExample) -> str:
    return (
        f"{_turns_text(example.messages)}"
        f"{_CRITIQUE_REQUEST}{example.critique_request}{_CRITIQUE} {example.critique}"
        f"{_REVISION_REQUEST}{example.revision_request}{_REVISION} {example.revision}"
    )


def _turns_text(turns: tuple[Message, ...]) -> str:
    openings = {"user": _HUMAN, "assistant": _ASSISTANT + " ", "system": "\n\n"}
    return "".join(openings[turn.role] + turn.content for turn in turns)


def _with_stops(sampling: Sampling) -> Sampling:
    return sampling.model_copy(update={"stop": (*sampling.stop, *_TRANSCRIPT_STOPS)})
