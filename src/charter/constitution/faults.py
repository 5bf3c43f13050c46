"""Faults of a constitution file, in words: what is wrong on which line, what was expected and what to do."""

from __future__ import annotations

from typing import Any

from pydantic_core import ErrorDetails

from charter.constitution.extension import Extension
from charter.constitution.model import (
    Constitution,
    FewShots,
    JudgeExample,
    Principle,
    ReviseExample,
    SystemTexts,
)
from charter.files.yaml_reading import ValuePath, YamlDocument
from charter.records import Message, Record
from charter.spelling import hint

_MAX_SHOWN = 10
_MAX_SHOWN_CHARACTERS = 60

Fault = tuple[int, str]
"""A line, counted from 1, and what is wrong there."""

# Which record stands at a place in the file; list positions are written "*".
_RECORDS: dict[ValuePath, type[Record]] = {
    (): Constitution,
    ("extends", "*"): Extension,
    ("system",): SystemTexts,
    ("principles", "*"): Principle,
    ("few_shots",): FewShots,
    ("few_shots", "revise", "*"): ReviseExample,
    ("few_shots", "revise", "*", "messages", "*"): Message,
    ("few_shots", "judge", "*"): JudgeExample,
    ("few_shots", "judge", "*", "messages", "*"): Message,
}

_EXPECTED = {
    "string_type": "text; put it in quotes if it is meant as text",
    "model_type": "a mapping of keys to values",
    "tuple_type": 'a list (each item on its own line after "- ")',
    "float_type": "a number",
    "greater_than": "a number above 0",
    "finite_number": "a finite number",
}


def schema_fault(document: YamlDocument, detail: ErrorDetails, under: ValuePath = ()) -> Fault:
    """Put one finding of the schema's validation into words; ``under`` is the place of what was validated."""
    path: ValuePath = (*under, *detail["loc"])
    return document.line_of(path), _place(document, path) + _message(path, detail)


def report(source: str, faults: list[Fault]) -> str:
    """Write faults in the order of their lines, one ``file:line: message`` each; ten at most."""
    unique = sorted(set(faults))
    shown = [f"{source}:{line}: {message}" for line, message in unique[:_MAX_SHOWN]]
    if len(unique) > _MAX_SHOWN:
        shown.append(f"{source}: and {len(unique) - _MAX_SHOWN} more faults")
    return "\n".join(shown)


def shown(value: Any) -> str:
    """Name a value and its type, long text cut."""
    match value:
        case None:
            return "no value"
        case bool():
            return f"the truth value {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            short = value if len(value) <= _MAX_SHOWN_CHARACTERS else f"{value[: _MAX_SHOWN_CHARACTERS - 3]}..."
            return f'the text "{short}"'
        case list():
            return f"a list of {len(value)}"
        case _:
            return "a mapping"


def _message(path: ValuePath, detail: ErrorDetails) -> str:
    key, value, kind = path[-1], detail["input"], detail["type"]
    subject = f'"{key}"' if isinstance(key, str) else f"item {key + 1}"
    match kind:
        case "extra_forbidden":
            keys = tuple(_RECORDS[_pattern(path[:-1])].model_fields) + (("extends",) if len(path) == 1 else ())
            message = f"unknown key {subject}{hint(str(key), keys)} (keys here: {', '.join(keys)})"
        case "missing":
            message = f"{subject} is missing; {_purpose(path)}"
        case "too_short":
            message = f"{subject} holds {len(value)} items; give it at least {detail['ctx']['min_length']}"
        case "string_too_short":
            message = f"{subject} is empty; write its text{_or_leave_out(path)}"
        case "string_pattern_mismatch" if key == "id":
            message = (
                f'id "{value}" is not usable; begin with a letter or digit, then letters, digits, "-", "_" and "."'
            )
        case "string_pattern_mismatch" if key == "version":
            message = f'version is {shown(value)}; expected three numbers such as "1.0.0" (semver.org)'
        case "string_pattern_mismatch" | "literal_error":
            allowed = '"A" or "B"' if key == "answer" else detail["ctx"]["expected"].replace("'", '"')
            message = f"{subject} is {shown(value)}; expected {allowed}"
        case _ if value is None:
            message = f"{subject} has no value; write one{_or_leave_out(path)}"
        case _:
            message = f"{subject} is {shown(value)}; expected {_EXPECTED.get(kind, detail['msg'])}"
    return message


def _place(document: YamlDocument, path: ValuePath) -> str:
    around = path[:-1]
    if not around:
        return ""
    if around[0] == "principles" and len(around) > 1:
        value = document.data["principles"][around[1]].get("id")
        return f'principle "{value}": ' if isinstance(value, str) else f"principle {int(around[1]) + 1}: "
    steps = [f"[{int(step) + 1}]" if isinstance(step, int) else f".{step}" for step in around]
    return f"{''.join(steps).removeprefix('.')}: "


def _pattern(path: ValuePath) -> ValuePath:
    return tuple("*" if isinstance(step, int) else step for step in path)


def _purpose(path: ValuePath) -> str:
    match path:
        case ("name",):
            return "give the constitution a name"
        case ("principles",):
            return "list at least one principle"
        case ("principles", _, "id"):
            return 'give the principle a short, lasting id such as "privacy"'
        case ("principles", _, "text" | "critique_request" | "revision_request" | "choice_question"):
            return "state the principle in its text, and the requests follow from it"
        case _:
            return "add it"


def _or_leave_out(path: ValuePath) -> str:
    record = _RECORDS.get(_pattern(path[:-1]))
    field = record.model_fields.get(str(path[-1])) if record else None
    derived = path[-1] in ("critique_request", "revision_request", "choice_question") and path[0] == "principles"
    return ", or leave the key out" if derived or (field is not None and not field.is_required()) else ""
