"""Recipe-style JSON as cluster scripts have it: requests in pairs, and worked chats that end in a revision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from charter.constitution.faults import shown
from charter.constitution.formats.fields import Fields
from charter.constitution.formats.part import Part
from charter.constitution.formats.source import SourceFile
from charter.constitution.model import FewShots, ReviseExample
from charter.files.yaml_reading import ValuePath
from charter.records import Message, Role

_PAIRS, _CHATS = "constitutions", "system_chat"
_TURNS = ("user", "assistant", "user", "assistant", "user", "assistant")

NEEDS = f"a mapping with {_PAIRS} (critic and revision) or {_CHATS} (lists of messages)"


def recognise(source: SourceFile) -> bool:
    """Tell whether a file has the layout."""
    return isinstance(source.data, dict) and any(isinstance(source.data.get(key), list) for key in (_PAIRS, _CHATS))


def read(source: SourceFile) -> Part:
    """Read a file of the layout."""
    fields, data = Fields(source.document), source.data
    part = Part(
        source=source.document.source,
        principles=tuple(_pairs(fields, data)),
        few_shots=FewShots(revise=tuple(_examples(fields, data))),
        metadata=fields.rest(data, (_PAIRS, _CHATS)),
    )
    fields.finish()
    return part


def _pairs(fields: Fields, data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, entry in fields.mappings(data, _PAIRS):
        yield {
            "source_id": fields.name(entry, "id", path),
            "critique_request": fields.text(entry, "critic", path),
            "revision_request": fields.text(entry, "revision", path),
            "uses": ("revise",),
            "metadata": fields.rest(entry, ("id", "critic", "revision"), path),
        }


def _examples(fields: Fields, data: dict[str, Any]) -> Iterator[ReviseExample]:
    chats = data.get(_CHATS)
    for number, chat in enumerate(chats if isinstance(chats, list) else ()):
        path = (_CHATS, number)
        if not isinstance(chat, list):
            fields.fault(path, f"chat {number + 1} is {shown(chat)}; expected a list of messages")
            continue
        messages = [_message(fields, entry, (*path, place)) for place, entry in enumerate(chat)]
        turns = [message for message in messages if message is not None]
        if tuple(message.role for message in turns[-len(_TURNS) :]) != _TURNS or len(turns) != len(messages):
            fields.fault(
                path,
                f"chat {number + 1} does not end in six turns, user and assistant by turns; expected prompt, response, "
                "critique request, critique, revision request, revision",
            )
            continue
        request, critique, revision_request, revision = (message.content for message in turns[-4:])
        yield ReviseExample(
            messages=tuple(turns[:-4]),
            critique_request=request,
            critique=critique,
            revision_request=revision_request,
            revision=revision,
        )


def _message(fields: Fields, entry: Any, path: ValuePath) -> Message | None:
    if not isinstance(entry, dict):
        fields.fault(path, f"a message is {shown(entry)}; expected a mapping with role and content")
        return None
    role, content = entry.get("role"), fields.text(entry, "content", path)
    if role not in get_args(Role):
        fields.fault(path, f'"role" is {shown(role)}; expected {", ".join(get_args(Role))}')
        return None
    return Message(role=role, content=content)
