"""Prompts by kind: the built-in set, and the reader for the user's own files, with counts of what was rejected."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from pydantic import ValidationError

from charter.errors import PromptError
from charter.prompts.reading import SourceRow, read_rows
from charter.records import Message, Prompt, PromptKind, make_prompt
from charter.seeds import row_id
from charter.spelling import hint

BUILT_IN = "built-in"
_FILES: Mapping[PromptKind, str] = {
    "red_team": "red_team.jsonl",
    "benign_twin": "benign_twins.jsonl",
    "helpful": "helpful.jsonl",
}
_BUILT_IN_COLUMNS = ("id", "category")
_NO_CELL = (bool, list, Mapping)  # what is no text, and would become one that nobody wrote
_LIKELY_COLUMNS = ("prompt", "prompt_text", "instruction", "question", "text")


@dataclass(frozen=True)
class LoadedPrompts:
    """Prompts read from one source, and how many rows were left out, by reason.

    ``places`` says by prompt id where each was read (nothing of built-in ones). ``given_ids`` are the ids that the
    source itself gives, those of rows that were left out too; ``columns`` are its columns. ``ids_unasked`` is true
    where the ids are those of a column ``id`` that nobody named.
    """

    prompts: tuple[Prompt, ...]
    rejected: dict[str, int]
    source: str = ""
    places: Mapping[str, str] = field(default_factory=dict)
    given_ids: frozenset[str] = frozenset()
    columns: tuple[str, ...] = ()
    ids_unasked: bool = False


def load_prompts(
    source: str,
    kind: PromptKind,
    *,
    column: str | None = None,
    id_column: str | None = None,
    category_column: str | None = None,
    where: Mapping[str, Any] | None = None,
    split: str | None = None,
    limit: int | None = None,
) -> LoadedPrompts:
    """Read prompts of one kind.

    Args:
        source: ``built-in``, a file, a saved dataset's folder, or a Hugging Face dataset id.
        kind: what the prompts are for.
        column: where the prompt is; None takes the first likely name that exists (or ``messages``).
        id_column: where the source's own ids are; None takes ``id`` where every row has one and no two share it, and
            else makes ids from the content.
        category_column: where the category is; None takes ``category`` where it exists.
        where: keep rows whose columns equal these values; a CSV's cells are compared as text. Built-in prompts have
            ``id`` and ``category``.
        split: of a Hugging Face dataset.
        limit: keep this many, the first.

    Returns:
        Distinct prompts in the source's order.

    Raises:
        PromptError: where the source is empty, malformed, or nothing is left; where built-in prompts, whose columns
            are known, are given columns or a split.
    """
    if source == BUILT_IN:
        named = {"column": column, "id_column": id_column, "category_column": category_column, "split": split}
        _refuse_columns(named)
        return _load_built_in(kind, dict(where or {}), limit)
    rows = read_rows(source, split=split)
    ids_unasked = id_column is None and _tells_apart(rows, "id")
    columns = _Columns(column, "id" if ids_unasked else id_column, category_column, dict(where or {}))
    _check_columns(rows, columns)
    prompts, places, rejected = _sift(rows, kind, source, columns, limit)
    if not prompts:
        reasons = ", ".join(f"{n} {reason}" for reason, n in rejected.items())
        raise PromptError(f"{source}: no prompt is left of {len(rows)} rows ({reasons}); check 'column' and 'where'")
    return LoadedPrompts(
        tuple(prompts.values()),
        dict(rejected),
        source,
        places,
        frozenset(given for row in rows if (given := _optional(row, columns.id)) is not None),
        tuple(dict.fromkeys(name for row in rows for name in row.values)),
        ids_unasked,
    )


def _sift(
    rows: Sequence[SourceRow], kind: PromptKind, source: str, columns: _Columns, limit: int | None
) -> tuple[dict[str, Prompt], dict[str, str], Counter[str]]:
    """Make the prompts of the rows that are kept: those, where each was read, both by id, and the others by reason."""
    kept: dict[str, Prompt] = {}
    places: dict[str, str] = {}
    rejected: Counter[str] = Counter()
    texts: set[str] = set()
    for row in rows:
        if not all(_is(row.values.get(name), value) for name, value in columns.where.items()):
            rejected["filtered by where"] += 1
            continue
        prompt = _prompt(row, kind, source, columns)
        if isinstance(prompt, str):
            rejected[prompt] += 1
        elif prompt.text in texts:
            rejected["duplicate text"] += 1
        elif prompt.id in kept:
            raise PromptError(
                f"{row.place}: the id {prompt.id!r} in column {columns.id!r} was used before "
                f"({places[prompt.id]}); ids must be distinct: mend them, or name another column with 'id_column'"
            )
        elif limit is not None and len(kept) >= limit:
            rejected["over the limit"] += 1
        else:
            kept[prompt.id] = prompt
            places[prompt.id] = row.place
            texts.add(prompt.text)
    return kept, places, rejected


def _tells_apart(rows: Sequence[SourceRow], name: str) -> bool:
    """Whether a column can be the ids: every row has one, and rows that share one are the same row written twice."""
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        given = None if isinstance(row.values.get(name), _NO_CELL) else _optional(row, name)
        if given is None or first.setdefault(given, row.values) != row.values:
            return False
    return True


def content_id(kind: PromptKind, turns: Sequence[Message]) -> str:
    """Make the id of a prompt whose source gives none."""
    return row_id("prompt", kind, [turn.model_dump() for turn in turns])


def _refuse_columns(named: Mapping[str, str | None]) -> None:
    for name, value in named.items():
        if value is not None:
            raise PromptError(f"{name!r} is {value!r}, and built-in prompts have none to choose; leave it out")


def _load_built_in(kind: PromptKind, where: Mapping[str, Any], limit: int | None) -> LoadedPrompts:
    prompts = _built_in(kind)
    unknown = [name for name in where if name not in _BUILT_IN_COLUMNS]
    if unknown:
        raise PromptError(f"built-in prompts have no column {unknown[0]!r}; 'where' takes {list(_BUILT_IN_COLUMNS)}")
    found = [one for one in prompts if all(_is(getattr(one, name), value) for name, value in where.items())]
    if not found:
        raise PromptError(f"no built-in {kind} prompt is left where {dict(where)}; check where")
    kept = tuple(found[:limit])
    rejected = {"filtered by where": len(prompts) - len(found), "over the limit": len(found) - len(kept)}
    given_ids = frozenset(one.id for one in prompts)
    return LoadedPrompts(
        kept,
        {reason: n for reason, n in rejected.items() if n},
        BUILT_IN,
        given_ids=given_ids,
        columns=_BUILT_IN_COLUMNS,
    )


def _built_in(kind: PromptKind) -> tuple[Prompt, ...]:
    file = resources.files("charter.prompts") / "data" / _FILES[kind]
    rows = [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]
    return tuple(
        make_prompt(
            row["prompt"],
            kind,
            id=row["id"],
            category=row["category"],
            source=BUILT_IN,
            split=row.get("split", "train"),
            twin_of=row.get("twin_of"),
            reference=row.get("reference"),
        )
        for row in rows
    )


@dataclass(frozen=True)
class _Columns:
    """Which columns of a source hold what."""

    prompt: str | None
    id: str | None
    category: str | None
    where: dict[str, Any]


def _check_columns(rows: Sequence[SourceRow], columns: _Columns) -> None:
    """Every row needs its prompt and its id; what rows are chosen or sorted by may be missing from some."""
    for name in (columns.prompt, columns.id):
        for row in rows if name is not None else ():
            if name not in row.values:
                there = f"the columns are {', '.join(row.values)}{hint(str(name), row.values)}"
                raise PromptError(f"{row.header or row.place}: there is no column {name!r}; {there}")
    known = dict.fromkeys(name for row in rows for name in row.values)
    for name in (columns.category, *columns.where):
        if name is not None and name not in known:
            there = f"the columns are {', '.join(known)}{hint(name, known)}"
            raise PromptError(f"{rows[0].header or rows[0].place}: no row has a column {name!r}; {there}")


def _is(cell: Any, value: Any) -> bool:
    if isinstance(cell, str) and not isinstance(value, str):
        return cell.strip().lower() == str(value).lower()
    return bool(cell == value)


def _prompt(row: SourceRow, kind: PromptKind, source: str, columns: _Columns) -> Prompt | str:
    """Make a row's prompt, or say why it has none."""
    turns = _turns(row, columns.prompt)
    if isinstance(turns, str):
        return turns
    given_id = _optional(row, columns.id)
    if columns.id is not None and given_id is None:
        raise PromptError(
            f"{row.place}: the id in column {columns.id!r} is empty; give every row one, or no 'id_column'"
        )
    try:
        return Prompt(
            id=given_id or content_id(kind, turns),
            turns=turns,
            kind=kind,
            category=_optional(row, columns.category or "category") or "",
            source=source,
            twin_of=_optional(row, "twin_of"),
            reference=_optional(row, "reference"),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise PromptError(f"{row.place}: {first['loc'][0]}: {_said(first['msg'])}") from error


def _optional(row: SourceRow, name: str | None) -> str | None:
    value = None if name is None else row.values.get(name)
    if isinstance(value, _NO_CELL):
        raise PromptError(f"{row.place}: {name!r} is {type(value).__name__}; expected a text or a number")
    if isinstance(value, float):  # what tables make of whole numbers where some rows have none
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    return None if value is None or value == "" else str(value)


def _said(message: str) -> str:
    return message.removeprefix("Value error, ")


def _turns(row: SourceRow, column: str | None) -> tuple[Message, ...] | str:
    """Read the conversation up to its last user turn, of a text or a list of messages; or say why there is none."""
    name = column or next((known for known in ("messages", *_LIKELY_COLUMNS) if known in row.values), None)
    if name is None:
        columns = ", ".join(row.values)
        raise PromptError(f"{row.header or row.place}: which column is the prompt? Set 'column' to one of: {columns}")
    value = row.values[name]
    if value is None or value == [] or (isinstance(value, str) and not value.strip()):
        return "empty"
    if isinstance(value, str):
        return (_message(row, {"role": "user", "content": value}),)
    if not isinstance(value, list):
        raise PromptError(f"{row.place}: {name!r} is {type(value).__name__}; expected a text or a list of messages")
    turns = [_message(row, turn) for turn in value]
    while turns and turns[-1].role != "user":
        turns.pop()
    if turns and not turns[-1].content.strip():
        return "empty"
    return tuple(turns) or "without a user's turn"


def _message(row: SourceRow, value: Any) -> Message:
    if isinstance(value, Mapping):  # a table gives every message the keys that any of them has
        value = {name: inner for name, inner in value.items() if inner is not None}
    try:
        return Message.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "message"
        raise PromptError(
            f"{row.place}: not a message ({where}: {_said(first['msg'])}); expected role and content"
        ) from error
