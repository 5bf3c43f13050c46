r"""Texts that hold several things between markers, taken apart: transcripts, requests and comparisons of the paper.

A marker is taken off with the one space behind it and the empty line before it; what stands between is verbatim.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from charter.constitution.model import ReviseExample
from charter.records import Message, Role

CRITIQUE_REQUEST, CRITIQUE = "CritiqueRequest", "Critique"
REVISION_REQUEST, REVISION = "RevisionRequest", "Revision"
_ROUND = (CRITIQUE_REQUEST, CRITIQUE, REVISION_REQUEST, REVISION)

_MARKER = re.compile(
    r"(?:\A\s*|\r?\n[ \t]*\r?\n)(?P<name>Human|Assistant|System|Critique ?Request|Critique|Revision ?Request|Revision)"
    r":(?:[ \t]|(?=\r?\n)|\Z)?"
)
# The patterns take time in proportion to a text's length, whatever it holds: files come from anywhere. So options are
# found by where each begins, and no pattern reaches over what is between.
_BRACKETED_A = re.compile(r"\r?\n[ \t]*\(A\)[ \t]*\[\[\[")
_BRACKETED_B = re.compile(r"\]\]\][ \t]*(?:\r?\n)+[ \t]*\(B\)[ \t]*\[\[\[")
_BRACKETED_END = "]]]"
_BARE_A, _BARE_B = re.compile(r"\r?\n[ \t]*\(A\)[ \t]"), re.compile(r"\r?\n[ \t]*\(B\)[ \t]")
_OPENING = re.compile(r"\A\s*(?:Human:[ \t]*)?[^\n]{0,100}\bconversation\b[^\n]{0,100}:[ \t]*(?:\r?\n)+")
_TURN = re.compile(r"(?:\A\s*|\n[ \t]*\r?\n[ \t]*)(?P<name>H|A|Human|Assistant):[ \t]?")
_SLOT = re.compile(r"\s*\{\}\s*")
_REASONING_OPENING = re.compile(r"\A\s*Let['\u2019]s think step by step[:.]?(?:\r?\n|[ \t])?")
_ANSWER = re.compile(r"(?:\A|.*[\s:(])\(?(?P<letter>[AB])\)?[.\s]*\Z", re.DOTALL)

_ROLES: dict[str, Role] = {
    "Human": "user",
    "H": "user",
    "Assistant": "assistant",
    "A": "assistant",
    "System": "system",
}

OPTIONS = "Options:"
REASONING_OPENING = "Let's think step by step:\n"
ANSWER_OPENING = "So the answer is: "
_ANSWER_LINE = "So the answer is"


class Comparison(NamedTuple):
    """A conversation, a question about two responses, and the responses."""

    messages: tuple[Message, ...]
    question: str
    a: str
    b: str


def strip_request(text: str, before: str, after: str) -> str:
    """Take the marker before a request and the one that calls for the answer off; text without them stays as it is."""
    text = re.sub(rf"\A\s*{before}:[ \t]?", "", text)
    ended = text.rstrip()
    return ended.removesuffix(f"{after}:").rstrip("\r\n") if ended.endswith(f"{after}:") else text


def strip_options(text: str) -> str:
    """Take ``Options:`` off the end of a choice question, and the empty lines around it."""
    ended = text.rstrip()
    return ended.removesuffix(OPTIONS).strip() if ended.endswith(OPTIONS) else text


def has_rounds(text: str) -> bool:
    """Tell whether a text is a transcript with a critique in it."""
    return any(name == CRITIQUE_REQUEST for name, _ in _between(text))


def read_transcript(text: str) -> tuple[ReviseExample, ...] | str:
    """Read a transcript with its critiques and revisions, an example a round; or say what is wrong with it."""
    found = _between(text)
    while found and found[-1][0] in _ROLES and not found[-1][1].strip():
        found.pop()  # a dangling turn
    n_turns = next((number for number, (name, _) in enumerate(found) if name not in _ROLES), len(found))
    messages = tuple(Message(role=_ROLES[name], content=content) for name, content in found[:n_turns])
    if [message.role for message in messages][-2:] != ["user", "assistant"]:
        return 'the transcript has no "Human:" and "Assistant:" turn before its critique; begin it with them'
    rest = found[n_turns:]
    names = [name for name, _ in rest]
    if not rest or names != list(_ROUND) * (len(rest) // len(_ROUND)):
        said = ", ".join(names) or "none of them"
        return (
            f"after the turns it has {said}; expected {', '.join(_ROUND)}, each once a round, and nothing behind them"
        )
    examples = []
    for start in range(0, len(rest), len(_ROUND)):
        request, critique, revision_request, revision = (content for _, content in rest[start : start + len(_ROUND)])
        examples.append(
            ReviseExample(
                messages=messages,
                critique_request=request,
                critique=critique,
                revision_request=revision_request,
                revision=revision,
            )
        )
        messages = (*messages[:-1], Message(role="assistant", content=revision))
    return tuple(examples)


def read_conversation(text: str) -> tuple[Message, ...]:
    """Read turns; text without markers is one turn of the user. A last turn without words is left out."""
    found = [(name, content) for name, content in _between(text) if name in _ROLES]
    while found and not found[-1][1].strip():
        found.pop()
    return tuple(Message(role=_ROLES[name], content=content) for name, content in found) or (
        Message(role="user", content=text),
    )


def read_comparison(text: str) -> Comparison | None:
    """Read a question about two options, ``(A) [[[...]]]`` and ``(B) [[[...]]]``; None where they are not there."""
    options = _bracketed_options(text) or _bare_options(text)
    if options is None:
        return None
    head, a, b = options
    head = _OPENING.sub("", head.rstrip().removesuffix(OPTIONS).rstrip() if head.rstrip().endswith(OPTIONS) else head)
    talk, question = _split_question(head)
    messages = _read_turns(talk)
    return Comparison(messages, "" if _SLOT.fullmatch(question) else question, a, b)


def read_reasoned(text: str) -> tuple[Comparison, str, str] | str:
    """Read a comparison with its chain of thought and its answer's letter; or say what is wrong."""
    task, _, rest = text.rpartition("\n\nAssistant:")
    chain, found, answer = rest.rpartition(_ANSWER_LINE)
    if not task or not found:
        return 'expected the options, then "Assistant:" with the reasoning, then a last line "So the answer is: (A)"'
    comparison, letter = read_comparison(task), read_letter(answer.strip())
    if comparison is None or not letter:
        return "expected a line that begins with (A), one that begins with (B), and an answer (A) or (B)"
    chain = chain.rstrip().removesuffix("Human:").rstrip()
    return comparison, strip_reasoning(chain.removeprefix(" ")), letter


def strip_reasoning(text: str) -> str:
    """Take the words that open a chain of thought off."""
    return _REASONING_OPENING.sub("", text)


def read_letter(text: str) -> str:
    """Find the letter that an answer ends with; empty where there is none."""
    found = _ANSWER.match(text)
    return found["letter"] if found else ""


def _bracketed_options(text: str) -> tuple[str, str, str] | None:
    """Give what stands before two options in brackets, and the options; what fails for the first (A) fails for all."""
    first = _BRACKETED_A.search(text)
    second = _BRACKETED_B.search(text, first.end()) if first else None
    end = len(text.rstrip()) - len(_BRACKETED_END)
    if first is None or second is None or end < second.end() or not text.startswith(_BRACKETED_END, end):
        return None
    return text[: first.start()], text[first.end() : second.start()], text[second.end() : end]


def _bare_options(text: str) -> tuple[str, str, str] | None:
    """Give what stands before two options without brackets, and the options, without the line breaks behind them."""
    first = _BARE_A.search(text)
    second = _BARE_B.search(text, first.end()) if first else None
    if first is None or second is None:
        return None
    end = second.start()
    while end > first.end() and text[end - 1] == "\n":
        end -= 1 + (end - 2 >= first.end() and text[end - 2] == "\r")
    return text[: first.start()], text[first.end() : end], text[second.end() :].rstrip()


def _split_question(head: str) -> tuple[str, str]:
    """Split the question off the end of a conversation: its last paragraph, where that is no turn."""
    breaks = list(re.finditer(r"\r?\n[ \t]*\r?\n", head))
    for found in reversed(breaks):
        tail = head[found.end() :]
        if tail.strip():
            return (head, "") if _TURN.match(tail) else (head[: found.start()], tail)
    slot = re.search(r"\n[ \t]*\{\}[ \t]*\Z", head)
    return (head[: slot.start()], "") if slot else (head, "")


def _read_turns(talk: str) -> tuple[Message, ...]:
    marks = list(_TURN.finditer(talk))
    if not marks:
        return (Message(role="user", content=talk),)
    ends = [*(mark.start() for mark in marks[1:]), len(talk)]
    return tuple(
        Message(role=_ROLES[mark["name"]], content=talk[mark.end() : end])
        for mark, end in zip(marks, ends, strict=True)
    )


def _between(text: str) -> list[tuple[str, str]]:
    """Give what stands between markers, each with the name of the marker before it."""
    marks = list(_MARKER.finditer(text))
    ends = [*(mark.start() for mark in marks), len(text)][1:]
    return [(mark["name"].replace(" ", ""), text[mark.end() : end]) for mark, end in zip(marks, ends, strict=False)]
