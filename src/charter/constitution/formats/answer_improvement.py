"""The "answer improvement" JSON layout: system messages, requests in pairs, comparisons, and examples of both.

Its two lists of principles are independent: a pair of requests becomes a principle for revising, a comparison one for
judging, and nothing is paired by its position.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from charter.constitution.formats.fields import Fields
from charter.constitution.formats.markers import (
    ANSWER_OPENING,
    REASONING_OPENING,
    read_comparison,
    read_letter,
    strip_reasoning,
)
from charter.constitution.formats.part import Part
from charter.constitution.formats.source import SourceFile
from charter.constitution.model import Constitution, FewShots, JudgeExample, ReviseExample, Use
from charter.records import Message

_SYSTEM = {
    "system_message_user_prompt": "respond",
    "system_message_critique": "critique",
    "system_message_revision": "revise",
}
_PAIRS, _COMPARISONS = "critique_revision_principles", "comparison_principles"
_REVISE_SHOTS, _JUDGE_SHOTS = "critique_revision_few_shots", "comparison_few_shots"
_KEYS = (*_SYSTEM, _PAIRS, _COMPARISONS, _REVISE_SHOTS, _JUDGE_SHOTS)

NEEDS = f"a mapping with at least one of {', '.join(_KEYS)}"

_OPENING = "Read this conversation between a human (H) and an assistant (A):"
_NAMES = {"user": "H", "assistant": "A"}


def recognise(source: SourceFile) -> bool:
    """Tell whether a file has the layout."""
    return isinstance(source.data, dict) and any(key in source.data for key in _KEYS)


def read(source: SourceFile) -> Part:
    """Read a file of the layout."""
    fields, data = Fields(source.document), source.data
    revise, remarks = _revise_examples(fields, data)
    part = Part(
        source=source.document.source,
        principles=(*_pairs(fields, data), *_comparisons(fields, data)),
        few_shots=FewShots(revise=tuple(revise), judge=tuple(_judge_examples(fields, data))),
        system={role: fields.text(data, key, (), default="") for key, role in _SYSTEM.items()},
        metadata=fields.rest(data, _KEYS),
        remarks=tuple(remarks),
    )
    fields.finish()
    return part


def write(constitution: Constitution) -> tuple[Any, list[tuple[int, tuple[Use, ...]]]]:
    """Give the layout's values, and for each principle in them whose it is and what it is used for."""
    numbered = list(enumerate(constitution.principles))
    revise = [(number, one) for number, one in numbered if "revise" in one.uses]
    judge = [(number, one) for number, one in numbered if "judge" in one.uses]
    kept = {key: value for key, value in constitution.metadata.items() if key not in _KEYS}
    data = {
        **{key: getattr(constitution.system, role) for key, role in _SYSTEM.items()},
        _PAIRS: [
            {"critique": one.critique_request, "revision": one.revision_request, **_extras(one.metadata)}
            for _, one in revise
        ],
        _REVISE_SHOTS: [_revise_shot(example) for example in constitution.few_shots.revise],
        _COMPARISONS: [one.choice_question for _, one in judge],
        _JUDGE_SHOTS: [_judge_shot(example) for example in constitution.few_shots.judge],
        **kept,
    }
    uses: list[tuple[int, tuple[Use, ...]]] = [(number, ("revise",)) for number, _ in revise]
    return data, uses + [(number, ("judge",)) for number, _ in judge]


def _pairs(fields: Fields, data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, entry in fields.mappings(data, _PAIRS):
        requests = {
            "critique_request": fields.text(entry, "critique", path, default=""),
            "revision_request": fields.text(entry, "revision", path, default=""),
        }
        if not any(request.strip() for request in requests.values()):
            fields.fault(path, 'the principle has neither a "critique" nor a "revision"; write one of them')
            continue
        metadata = fields.rest(entry, ("critique", "revision"), path)
        yield {**requests, "uses": ("revise",), "metadata": metadata}


def _comparisons(fields: Fields, data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for _, question in fields.texts(data, _COMPARISONS):
        yield {"choice_question": question, "uses": ("judge",)}


def _revise_examples(fields: Fields, data: dict[str, Any]) -> tuple[list[ReviseExample], list[str]]:
    examples, remarks = [], []
    for path, entry in fields.mappings(data, _REVISE_SHOTS):
        examples.append(
            ReviseExample(
                messages=(
                    Message(role="user", content=fields.text(entry, "input", path)),
                    Message(role="assistant", content=fields.text(entry, "initial_answer", path)),
                ),
                critique_request=fields.text(entry, "critique_principle", path, default=""),
                critique=fields.text(entry, "critique", path, default=""),
                revision_request=fields.text(entry, "revision_principle", path, default=""),
                revision=fields.text(entry, "revision", path),
            )
        )
        empty = [key for key in ("critique_principle", "critique", "revision_principle") if not entry.get(key)]
        if empty:
            remarks.append(
                f'{fields.document.where(path)}: example {len(examples)} of revision has no "{empty[0]}"; '
                "write it, for a model imitates what it is shown"
            )
    return examples, remarks


def _judge_examples(fields: Fields, data: dict[str, Any]) -> Iterator[JudgeExample]:
    for path, entry in fields.mappings(data, _JUDGE_SHOTS):
        task, answer = (fields.text(entry, key, path) for key in ("task", "selected_answer"))
        comparison, letter = read_comparison(task), read_letter(answer)
        if comparison is None:
            fields.fault(
                (*path, "task"), '"task" has no options; expected lines that begin with (A) and (B) at its end'
            )
        elif not letter:
            fields.fault(
                (*path, "selected_answer"), f'"selected_answer" is "{answer}"; expected one that ends in (A) or (B)'
            )
        else:
            reasoning = strip_reasoning(fields.text(entry, "chain_of_thought", path, default=""))
            yield JudgeExample(**comparison._asdict(), reasoning=reasoning, answer=letter)


def _extras(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key not in ("critique", "revision")}


def _revise_shot(example: ReviseExample) -> dict[str, str]:
    return {
        # more turns than one, or a system text, have no place of their own here
        "input": "\n\n".join(message.content for message in example.messages[:-1]),
        "initial_answer": example.messages[-1].content,
        "critique_principle": example.critique_request,
        "critique": example.critique,
        "revision_principle": example.revision_request,
        "revision": example.revision,
    }


def _judge_shot(example: JudgeExample) -> dict[str, str]:
    turns = [f"{_NAMES[message.role]}: {message.content}" for message in example.messages if message.role in _NAMES]
    parts = [_OPENING, *turns, *([example.question] if example.question else [])]
    return {
        "task": "\n\n".join(parts) + f"\n(A) [[[{example.a}]]]\n(B) [[[{example.b}]]]",
        "chain_of_thought": f"{REASONING_OPENING}{example.reasoning}" if example.reasoning else "",
        "selected_answer": f"{ANSWER_OPENING}({example.answer})",
    }
