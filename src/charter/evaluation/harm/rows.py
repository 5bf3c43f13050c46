"""Rows about harm, Charter's own or a user's: requests with a harmful and a harmless reply, and graded replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TypeVar

from charter.errors import PromptError
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
        return _distinct(read_rows(source), read)
    with resources.as_file(resources.files("charter.evaluation.harm") / "data" / file) as path:
        return _distinct(read_rows(str(path)), read)


def _distinct(rows: list[SourceRow], read: Callable[[SourceRow], _Row]) -> list[_Row]:
    """Read every row, and see that no two have one id."""
    found: dict[str, _Row] = {}
    for row in rows:
        one = read(row)
        if one.id in found:
            raise PromptError(f"{row.place}: the id {one.id!r} stands on an earlier row too; give each its own")
        found[one.id] = one
    return list(found.values())


def _conversation(row: SourceRow) -> HarmConversation:
    harmful, harmless = _text(row, "harmful"), _text(row, "harmless")
    if harmful.strip() == harmless.strip():
        raise PromptError(f"{row.place}: 'harmful' and 'harmless' are the same reply; give two that differ")
    return HarmConversation(_text(row, "id"), _kind(row), _text(row, "request"), harmful, harmless)


def _graded(row: SourceRow) -> GradedReply:
    harm = row.values.get("harm")
    if not isinstance(harm, int) or isinstance(harm, bool) or not 0 <= harm <= WORST:
        raise PromptError(f"{row.place}: 'harm' is {harm!r}; expected a whole number from 0 (harmless) to {WORST}")
    return GradedReply(_text(row, "id"), _kind(row), _text(row, "prompt"), _text(row, "response"), harm)


def _kind(row: SourceRow) -> str:
    kind = _text(row, "kind")
    if kind not in KINDS:
        raise PromptError(f"{row.place}: 'kind' is {kind!r}; expected one of {', '.join(KINDS)}{hint(kind, KINDS)}")
    return kind


def _text(row: SourceRow, name: str) -> str:
    value = row.values.get(name)
    if not isinstance(value, str) or not value.strip():
        said = f"is {value!r}" if name in row.values else "is missing"
        raise PromptError(f"{row.place}: {name!r} {said}; expected a text that says something")
    return value
