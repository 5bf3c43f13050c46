"""How the judge is asked: a conversation, a principle's choice question, two options, and the answer's beginning.

The options are shown as ``(A) ...`` and ``(B) ...``, and the request ends just after an opening bracket, where each
letter is one token (CAI §4.1). A model with a chat template reads it as turns; one without reads the same as plain
text, the worked examples one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, Literal

from charter.constitution.drawing import draw_principle
from charter.constitution.model import Constitution, JudgeExample
from charter.engines.base import ChoiceRequest, CompletionRequest, Sampling
from charter.records import Message, Prompt, transcript
from charter.seeds import derive_seed

ANSWER_OPENING = "The better response is ("
REASONING_OPENING = "Let's think step by step:"
_QUESTION_OPENING = "Consider this conversation:"
_EXAMPLE_END = "\n\n####\n\n"  # between examples in plain text
_MARKS = ("\n\n(A) ", "\n\n(B) ", "\n\nOptions:\n(A) ")
_WHOLE_MARKS = ("\n\nOptions:\n(A) ",)
_OF_PLAIN_TEXT = (_EXAMPLE_END, f"\n\n{_QUESTION_OPENING}", f"\n\n{ANSWER_OPENING}")
_MARKS_IN_PLAIN_TEXT = (*_MARKS, *_OF_PLAIN_TEXT)
_WHOLE_MARKS_IN_PLAIN_TEXT = (*_WHOLE_MARKS, *_OF_PLAIN_TEXT)


@dataclass(frozen=True)
class Question:
    """One comparison as the judge sees it: ``first`` is shown as (A), ``second`` as (B)."""

    prompt: Prompt
    question: str
    first: str
    second: str


@dataclass(frozen=True)
class Asking:
    """What all questions of a run share: the system text and the worked examples, rendered as messages already.

    ``opening`` begins the answer; it ends in the bracket after which the letter stands. ``raw`` asks in plain text, for
    a model without a chat template.
    """

    shared: tuple[Message, ...] = ()
    opening: str = ANSWER_OPENING
    raw: bool = False

    @property
    def shared_text(self) -> str:
        """What is shared, as plain text."""
        ends = {"assistant": _EXAMPLE_END}
        return "".join(message.content + ends.get(message.role, "\n\n") for message in self.shared)


def make_asking(
    constitution: Constitution, *, n_few_shots: int | None = None, reasoned: bool = False, seed: int = 0
) -> Asking:
    """Render what is the same for every question.

    An example without a question of its own gets a principle's, drawn by weight and independently for each (CAI §4.1),
    once a run: the examples stay the same tokens for every row.
    """
    system = (Message(role="system", content=constitution.system.judge),) if constitution.system.judge else ()
    turns: list[Message] = []
    for number, example in enumerate(constitution.few_shots.judge[:n_few_shots]):
        drawn = draw_principle(
            constitution.used_for("judge"), derive_seed(seed, f"judge example {number}", "principle")
        )
        question = example.question or drawn.choice_question
        turns += _example_turns(example, question, reasoned=reasoned)
    return Asking(shared=(*system, *turns))


def letter_request(asking: Asking, question: Question, *, reasoning: str | None = None) -> ChoiceRequest:
    """Ask for the letters' log-probabilities, after a given chain of reasoning where there is one."""
    prefill = asking.opening if reasoning is None else f"{REASONING_OPENING} {reasoning}\n{asking.opening}"
    return ChoiceRequest(**_asked(asking, question), prefill=prefill)


def description_request(
    asking: Asking, turns: tuple[Message, ...], question: str, options: Sequence[str]
) -> ChoiceRequest:
    """Ask which of several descriptions of a conversation is right: the log-probabilities of their letters."""
    text = _options_text(turns, question, options)
    return ChoiceRequest(**_input(asking, text), prefill=asking.opening, options=tuple(ascii_uppercase[: len(options)]))


def marks_in(asking: Asking, question: Question) -> Literal["an answer", "the conversation"] | None:
    """Say what holds marks of the layout: the judge may then take an answer for two, or read two lists of options.

    Of a conversation whole marks alone count: one may have letters of its own, and the list of options behind it is
    still the only one. Texts are shown as they are all the same; who asks has to know.
    """
    marks = _MARKS_IN_PLAIN_TEXT if asking.raw else _MARKS
    if any(mark in f"{text}\n\n" for text in (question.first, question.second) for mark in marks):
        return "an answer"
    return "the conversation" if conversation_has_marks(asking, question.prompt.turns) else None


def conversation_has_marks(asking: Asking, turns: tuple[Message, ...]) -> bool:
    """Say whether a conversation holds whole marks of the layout: another list of options, or in plain text its end."""
    whole = _WHOLE_MARKS_IN_PLAIN_TEXT if asking.raw else _WHOLE_MARKS
    talk = f"{_talk(turns)}\n\n"
    return any(mark in talk for mark in whole)


def reasoning_request(asking: Asking, question: Question, sampling: Sampling) -> CompletionRequest:
    """Ask for the chain of reasoning alone; it ends where the answer would begin (CAI §4.1)."""
    stops = (*sampling.stop, asking.opening, asking.opening[:-2])
    if asking.raw:  # nothing else ends a turn
        stops += (_EXAMPLE_END[:-1], f"\n\n{_QUESTION_OPENING}")
    return CompletionRequest(
        **_asked(asking, question),
        prefill=REASONING_OPENING,
        sampling=sampling.model_copy(update={"stop": stops}),
    )


def _asked(asking: Asking, question: Question) -> dict[str, Any]:
    """Give a request's input: turns or text, and how much of it is shared."""
    return _input(asking, _question_text(question.prompt.turns, question.question, question.first, question.second))


def _input(asking: Asking, text: str) -> dict[str, Any]:
    if asking.raw:
        shared = asking.shared_text
        return {"text": f"{shared}{text}\n\n", "n_shared": len(shared)}
    return {"messages": (*asking.shared, Message(role="user", content=text)), "n_shared": len(asking.shared)}


def _question_text(turns: tuple[Message, ...], question: str, first: str, second: str) -> str:
    return _options_text(turns, question, (first, second))


def _options_text(turns: tuple[Message, ...], question: str, options: Sequence[str]) -> str:
    shown = "\n\n".join(f"({letter}) {option}" for letter, option in zip(ascii_uppercase, options, strict=False))
    return f"{_QUESTION_OPENING}{_talk(turns)}\n\n{question}\n\nOptions:\n{shown}"


def _talk(turns: tuple[Message, ...]) -> str:
    is_lone = len(turns) == 1 and turns[0].role == "user"  # then its transcript is the bare text
    return f"\n\nHuman: {turns[0].content}" if is_lone else transcript(turns)


def _example_turns(example: JudgeExample, question: str, *, reasoned: bool) -> list[Message]:
    text = _question_text(example.messages, question, example.a, example.b)
    answer = f"{ANSWER_OPENING}{example.answer})."
    if reasoned and example.reasoning:
        answer = f"{REASONING_OPENING} {example.reasoning}\n{answer}"
    return [Message(role="user", content=text), Message(role="assistant", content=answer)]
