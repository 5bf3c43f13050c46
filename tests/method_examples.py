"""A small constitution, prompts and helpers that the tests of the method share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from charter.constitution.model import (
    Constitution,
    FewShots,
    JudgeExample,
    Principle,
    ReviseExample,
    SystemTexts,
)
from charter.engines.base import (
    Capability,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Request,
)
from charter.engines.scripted import ScriptedEngine
from charter.errors import CapabilityError
from charter.records import Message, Prompt, make_prompt

ResultT = TypeVar("ResultT")


def _principle(name: str, weight: float = 1.0) -> Principle:
    return Principle(
        id=name,
        text=f"Be {name}.",
        critique_request=f"Where is the answer not {name}? Do not write {{slots}} or %s.",
        revision_request=f"Write the answer anew, and {name} this time.",
        choice_question=f"Which answer is more {name}?",
        weight=weight,
    )


def user(text: str) -> Message:
    """Make a user's turn."""
    return Message(role="user", content=text)


def assistant(text: str) -> Message:
    """Make an assistant's turn."""
    return Message(role="assistant", content=text)


def system(text: str) -> Message:
    """Make a system turn."""
    return Message(role="system", content=text)


CONSTITUTION = Constitution(
    name="small",
    system=SystemTexts(
        respond="You answer.", critique="You are a critic.", revise="You revise.", judge="You compare answers."
    ),
    principles=(_principle("kind"), _principle("brief", 3.0), _principle("honest", 2.0)),
    few_shots=FewShots(
        revise=(
            ReviseExample(
                messages=(user("Is my poem good?"), assistant("No.")),
                critique_request="Is it kind?",
                critique="It is curt.",
                revision_request="Make it kind.",
                revision="Not yet: the second verse limps.",
            ),
            ReviseExample(
                messages=(user("Hi"), assistant("Hello!"), user("What is 2 + 2?"), assistant("Five.")),
                critique_request="Is it honest?",
                critique="It is wrong.",
                revision_request="Correct it.",
                revision="Four.",
            ),
        ),
        judge=(
            JudgeExample(
                messages=(user("Am I late?"),),
                question="Which answer is more honest?",
                a="No.",
                b="Yes, by an hour.",
                reasoning="The clock says so.",
                answer="B",
            ),
            JudgeExample(messages=(user("Hi"), assistant("Yes?"), user("Bye")), a="Bye!", b="Go.", answer="A"),
        ),
    ),
)

PLAIN = Constitution(name="plain", principles=CONSTITUTION.principles[:1])

PROMPT = make_prompt("How do I {open} a 100 %s jar?", "red_team", id="prompt-1")
CONVERSATION = Prompt(
    id="prompt-2",
    turns=(
        system("You are in a kitchen."),
        user("The jar is stuck."),
        assistant("Which jar?"),
        user("The\n\nred one."),
    ),
    kind="red_team",
)


class WithoutTemplate(ScriptedEngine):
    """A base model: it reads raw text alone, as a local model without a chat template does."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything but turns."""
        return super().capabilities - {"chat"}

    async def complete(self, request: CompletionRequest) -> Completion:
        """Draw a text."""
        _refuse_turns(request)
        return await super().complete(request)

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Read the options' log-probabilities."""
        _refuse_turns(request)
        return await super().choose(request)


def _refuse_turns(request: Request) -> None:
    if request.messages is not None:
        raise CapabilityError("no chat template")


def shown(request: Request) -> str:
    """Write a request as a person would read it, with the hints and settings that a model does not see."""
    lines = []
    if isinstance(request, CompletionRequest):
        settings = request.sampling.model_dump(exclude={"seed"})
        lines.append(", ".join(f"{name}={value!r}" for name, value in settings.items()))
    if isinstance(request, ChoiceRequest):
        lines.append(f"options={request.options}")
    lines.append(f"n_shared={request.n_shared}")
    if request.messages is None:
        lines.append(f"<text>{request.text}</text>")
    else:
        lines += [f"<{turn.role}>{turn.content}</{turn.role}>" for turn in request.messages]
    return "\n".join([*lines, f"<begun>{request.prefill}"])


def run(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run one row function by itself."""
    return asyncio.run(coroutine)
