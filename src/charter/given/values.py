"""Single values of a row: texts, lists of messages, and rows of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from charter.errors import PromptError
from charter.given.loaded import RejectedRowError
from charter.given.reading import GivenFile, GivenRow
from charter.prompts.layouts.conversations import fault, role_and_content
from charter.records import Message, PromptKind, PromptRow

RowT = TypeVar("RowT", bound=PromptRow)


def has_columns(file: GivenFile, names: Iterable[str]) -> bool:
    """Tell whether any row has each of these columns."""
    return set(names) <= set(file.columns)


def unknown_layout(file: GivenFile, what: str, known: Mapping[str, Iterable[str]]) -> PromptError:
    """Make the error for a file that has the columns of no layout."""
    some = ", ".join(file.columns[:12]) or "none"
    layouts = "; ".join(f"{name}: {', '.join(columns)}" for name, columns in known.items())
    return PromptError(
        f"{file.rows[0].place}: the columns are {some}, as in no layout of {what}; expected those of one ({layouts})"
    )


def text_of(row: GivenRow, *names: str) -> str:
    """Give the text in the first of these columns that the row has.

    Raises:
        RejectedRowError: where it has none, or holds no text.
    """
    for name in names:
        value = row.values.get(name)
        if isinstance(value, str):
            return value
        if value is not None:
            raise RejectedRowError(f"{name} is no text")
    raise RejectedRowError(f"without {names[0]}")


def probability(value: Any) -> float:
    """Read a probability, from a number or its text.

    Raises:
        RejectedRowError: where it is none.
    """
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = -1.0
    if not 0.0 <= found <= 1.0:
        raise RejectedRowError("p_chosen is no probability")
    return found


def prompt_kind(value: Any) -> PromptKind | None:
    """Read what a prompt is for, where a value is the name of one of our kinds; None for any other."""
    return value if value in get_args(PromptKind) else None


def message_list(value: Any) -> tuple[Message, ...] | None:
    """Read a list of messages, or one message, with ``role`` and ``content`` or ``from`` and ``value``; else None."""
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list) or not value:
        return None
    messages = [_message(one) for one in value]
    return None if None in messages else tuple(one for one in messages if one is not None)


def _message(value: Any) -> Message | None:
    if not isinstance(value, Mapping):
        return None
    told = role_and_content(value)
    try:
        return Message(role=told["role"], content=told["content"])
    except (KeyError, ValidationError):
        return None


def native_row(row: GivenRow, kind: type[RowT]) -> RowT:
    """Read a row of ours.

    Raises:
        RejectedRowError: where it is none.
    """
    try:
        return kind.from_row(dict(row.values))
    except KeyError as error:
        raise RejectedRowError(f"without {error.args[0]}") from error
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"])) or kind.__name__
        raise RejectedRowError(f"{place}: {fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    """Say what is wrong with a row first, in words that many rows may share."""
    return fault(error).split(" (", 1)[0]
