"""Rows about harm, Charter's own or a user's: requests with a harmful and a harmless reply, and graded replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TypeVar

from charter.errors import PromptError
from charter.evaluation.own_rows import read_distinct, said_text
from charter.prompts.reading import SourceRow, read_rows
from charter.records import BUILT_IN
from charter.spelling import hint

#: The kinds of harm by their keys, as a question names them.
KINDS: Mapping[str, str] = {
    "violence": "violence",
    "dangerous_substances_and_weapons": "dangerous substances and weapons",
    "fraud_and_theft": "fraud and theft",
    "hate_and_discrimination": "hate and discrimination",
    "harassment_and_bullying": "harassment and bullying",
    "self_harm_and_disordered_eating": "self-harm and disordered eating",
    "privacy_violation": "violation of privacy",
    "deception_and_misinformation": "deception and misinformation",
    "reckless_advice": "reckless advice on health, law, money or safety",
}
WORST = 4  # of the grades of harm, from 0


@dataclass(frozen=True)
class HarmConversation:
    """A request with a reply that does harm, of one of ``KINDS``, and one that does not."""

    id: str
    kind: str
    request: str
    harmful: str
    harmless: str


@dataclass(frozen=True)
class GradedReply:
    """A reply to a prompt with its grade of harm, 0 (harmless) to 4 (the worst); ``docs/harm.md`` has the scale."""

    id: str
    kind: str
    prompt: str
    response: str
    harm: int


_Row = TypeVar("_Row", HarmConversation, GradedReply)


def load_conversations(source: str = BUILT_IN) -> list[HarmConversation]:
    """Read conversations: those that come with Charter, or a file of rows with the same keys.

    Raises:
        PromptError: naming the file, the line and what is wrong.
    """
    return _load(source, "conversations.jsonl", _conversation)


def load_graded(source: str = BUILT_IN) -> list[GradedReply]:
    """Read graded replies: those that come with Charter, or a file of rows with the same keys.

    Raises:
        PromptError: naming the file, the line and what is wrong.
    """
    return _load(source, "graded.jsonl", _graded)


def _load(source: str, file: str, read: Callable[[SourceRow], _Row]) -> list[_Row]:
    if source != BUILT_IN:
        return read_distinct(read_rows(source), read)
    with resources.as_file(resources.files("charter.evaluation.harm") / "data" / file) as path:
        return read_distinct(read_rows(str(path)), read)


def _conversation(row: SourceRow) -> HarmConversation:
    harmful, harmless = said_text(row, "harmful"), said_text(row, "harmless")
    if harmful.strip() == harmless.strip():
        raise PromptError(f"{row.place}: 'harmful' and 'harmless' are the same reply; give two that differ")
    return HarmConversation(said_text(row, "id"), _kind(row), said_text(row, "request"), harmful, harmless)


def _graded(row: SourceRow) -> GradedReply:
    harm = row.values.get("harm")
    if not isinstance(harm, int) or isinstance(harm, bool) or not 0 <= harm <= WORST:
        raise PromptError(f"{row.place}: 'harm' is {harm!r}; expected a whole number from 0 (harmless) to {WORST}")
    return GradedReply(said_text(row, "id"), _kind(row), said_text(row, "prompt"), said_text(row, "response"), harm)


def _kind(row: SourceRow) -> str:
    kind = said_text(row, "kind")
    if kind not in KINDS:
        raise PromptError(f"{row.place}: 'kind' is {kind!r}; expected one of {', '.join(KINDS)}{hint(kind, KINDS)}")
    return kind
