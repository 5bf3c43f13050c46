"""How critique and revision are put to a model: one function a request, one class a layout.

Within a round the revision request begins with the very messages of the critique request, and over all rows the
requests share system text and few-shots: engines compute those once (``Request.n_shared``). Without ``critiques`` a
response is revised at once: neither requests nor worked examples have a critique (the control of CAI Figure 7).
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

    @property
    def critiques(self) -> bool:
        """Whether a revision is asked for behind a critique."""
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
        """Ask for a revision, after the critique where there is one."""
        ...

    def read(self, completion: Completion) -> Completion:
        """Take the layout's own marks off what came of a request."""
        ...


def make_layout(
    name: LayoutName,
    constitution: Constitution,
    *,
    few_shots: FewShotChoice = "all",
    n_few_shots: int | None = None,
    critiques: bool = True,
) -> Layout:
    """Make a layout by name, with the constitution's worked examples (see ``FewShots.choose``)."""
    examples = constitution.few_shots.choose(few_shots, n_few_shots)
    if name == "transcript":
        return TranscriptLayout(examples, critiques)
    return ChatLayout(_system_text(constitution, critiques=critiques), examples, critiques)


def _system_text(constitution: Constitution, *, critiques: bool) -> str:
    """Join the critique's and the revision's system texts: one text for both keeps a round's calls sharing tokens."""
    texts = dict.fromkeys(
        (constitution.system.critique, constitution.system.revise) if critiques else (constitution.system.revise,)
    )
    return "\n".join(text for text in texts if text)


@dataclass(frozen=True)
class ChatLayout:
    """Through the model's chat template: each step of the chain is a turn."""

    system: str
    examples: tuple[ReviseExample, ...]
    critiques: bool = True
    needs: ClassVar[Capability] = "chat"

    def initial(self, prompt: Prompt, sampling: Sampling) -> CompletionRequest:
        """Ask for the initial response: the prompt's own turns, nothing added."""
        return CompletionRequest(messages=prompt.turns, sampling=sampling)

    def critique(self, prompt: Prompt, response: str, principle: Principle, sampling: Sampling) -> CompletionRequest:
        """Ask for a critique: system, examples, the prompt, the response, the principle's critique request."""
        shared = self._shared
        messages = (*shared, *_until_response(prompt, response), _user(principle.critique_request))
        return CompletionRequest(messages=messages, sampling=sampling, n_shared=len(shared))

    def revision(
        self, prompt: Prompt, response: str, principle: Principle, critique: str, sampling: Sampling
    ) -> CompletionRequest:
        """Ask for a revision: the critique's messages and the critique, if any, then the revision request."""
        shared = self._shared
        messages = (
            *shared,
            *_until_response(prompt, response),
            *self._step(principle.critique_request, critique),
            _user(principle.revision_request),
        )
        return CompletionRequest(messages=messages, sampling=sampling, n_shared=len(shared))

    def read(self, completion: Completion) -> Completion:
        """Take a turn as it is."""
        return completion

    @cached_property
    def _shared(self) -> tuple[Message, ...]:
        system = (Message(role="system", content=self.system),) if self.system else ()
        return (*system, *(message for example in self.examples for message in self._example_turns(example)))

    def _example_turns(self, example: ReviseExample) -> tuple[Message, ...]:
        return (
            *example.messages,
            *self._step(example.critique_request, example.critique),
            _user(example.revision_request),
            _assistant(example.revision),
        )

    def _step(self, critique_request: str, critique: str) -> tuple[Message, ...]:
        return (_user(critique_request), _assistant(critique)) if self.critiques else ()


def _until_response(prompt: Prompt, response: str) -> tuple[Message, ...]:
    return (*(turn for turn in prompt.turns if turn.role != "system"), _assistant(response))


def _user(content: str) -> Message:
    return Message(role="user", content=content)


def _assistant(content: str) -> Message:
    return Message(role="assistant", content=content)


@dataclass(frozen=True)
class TranscriptLayout:
    """Raw text with stop strings, for base models (CAI §3.1)."""

    examples: tuple[ReviseExample, ...]
    critiques: bool = True
    needs: ClassVar[Capability] = "text"

    def initial(self, prompt: Prompt, sampling: Sampling) -> CompletionRequest:
        """Ask for the initial response after ``Assistant:``."""
        return CompletionRequest(text=_turns_text(prompt.turns) + _ASSISTANT, sampling=_with_stops(sampling))

    def critique(self, prompt: Prompt, response: str, principle: Principle, sampling: Sampling) -> CompletionRequest:
        """Ask for a critique after ``Critique:``."""
        shared = self._shared
        asked = f"{_CRITIQUE_REQUEST}{principle.critique_request}{_CRITIQUE}"
        text = f"{shared}{_text_until_response(prompt, response)}{asked}"
        return CompletionRequest(text=text, sampling=_with_stops(sampling), n_shared=len(shared))

    def revision(
        self, prompt: Prompt, response: str, principle: Principle, critique: str, sampling: Sampling
    ) -> CompletionRequest:
        """Ask for a revision after ``Revision:``."""
        shared = self._shared
        text = (
            f"{shared}{_text_until_response(prompt, response)}{self._step(principle.critique_request, critique)}"
            f"{_REVISION_REQUEST}{principle.revision_request}{_REVISION}"
        )
        return CompletionRequest(text=text, sampling=_with_stops(sampling), n_shared=len(shared))

    def read(self, completion: Completion) -> Completion:
        """End a text at the separator, also where that was the last thing drawn and no stop string was whole yet."""
        end = _END_LINE.search(completion.text)
        if end is None:
            return completion
        return completion.model_copy(update={"text": completion.text[: end.start()], "finish": "stop"})

    @cached_property
    def _shared(self) -> str:
        return "".join(self._example_text(example) + _EXAMPLE_END for example in self.examples)

    def _example_text(self, example: ReviseExample) -> str:
        return (
            f"{_turns_text(example.messages)}{self._step(example.critique_request, example.critique)}"
            f"{_REVISION_REQUEST}{example.revision_request}{_REVISION} {example.revision}"
        )

    def _step(self, critique_request: str, critique: str) -> str:
        return f"{_CRITIQUE_REQUEST}{critique_request}{_CRITIQUE} {critique}" if self.critiques else ""


def _text_until_response(prompt: Prompt, response: str) -> str:
    return f"{_turns_text(prompt.turns)}{_ASSISTANT} {response}"


def _turns_text(turns: tuple[Message, ...]) -> str:
    openings = {"user": _HUMAN, "assistant": _ASSISTANT + " ", "system": "\n\n"}
    return "".join(openings[turn.role] + turn.content for turn in turns)


def _with_stops(sampling: Sampling) -> Sampling:
    return sampling.model_copy(update={"stop": (*sampling.stop, *_TRANSCRIPT_STOPS)})
