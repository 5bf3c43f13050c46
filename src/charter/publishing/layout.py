"""What an export layout is: for each kind of rows the files that they become, and the columns that survive it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from charter.constitution.model import Constitution
from charter.engines.templates import Render
from charter.given.transcripts import is_readable
from charter.publishing.contents import Column, Content, parquet
from charter.records import Message, Preference, Prompt, SftRow, Trace

What = Literal["prompts", "traces", "sft", "preferences"]

#: The record that each kind of rows is read as.
RECORDS: Mapping[What, Any] = {"prompts": Prompt, "traces": Trace, "sft": SftRow, "preferences": Preference}

UNREADABLE = "its text would be read back as other turns"
NO_ROUND = "without a round"
NOT_IN_TURN = "user and assistant do not take turns, and its reader would skip it"

_HUB_SPLITS = {"train": "train", "evaluation": "test"}


@dataclass(frozen=True)
class Options:
    """What a layout may need beside the rows.

    ``constitution`` gives principles their positions; ``render`` writes a conversation as text, as a model's chat
    template does; ``raw`` leaves cells of a CSV as they are.
    """

    constitution: Constitution | None
    render: Render
    raw: bool


@dataclass(frozen=True)
class File:
    """One file of an export: how many rows it has, and what writes it."""

    n_rows: int
    write: Content


@dataclass
class Written:
    """What rows become: files by their names, the rows that are not among them by reason, and what is lost besides.

    ``shared`` are parts of JSON objects by the file's name: one file holds those of all kinds of rows.
    """

    files: dict[str, File] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    lost: tuple[str, ...] = ()
    shared: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """How a layout holds one kind of rows, and which of their columns survive; None where all do."""

    write: Callable[[Sequence[Any], Options], Written]
    keeps: frozenset[str] | None


Layout = Mapping[What, Part]


def message(role: str, content: str) -> dict[str, str]:
    """Make a message as data."""
    return {"role": role, "content": content}


def messages(turns: Iterable[Message]) -> list[dict[str, str]]:
    """Give a conversation as data."""
    return [message(turn.role, turn.content) for turn in turns]


def sift(
    rows: Sequence[Any], *, is_text: bool = False, has_rounds: bool = False, alternates: bool = False
) -> tuple[list[Any], Counter[str]]:
    """Keep the rows that a layout can hold, and count the others by reason.

    Args:
        rows: prompts, or rows about one.
        is_text: the layout has the conversation as one text, which must say the same turns when it is read.
        has_rounds: it has a critique and a revision.
        alternates: after a system turn its reader takes user and assistant in turn, and skips what is otherwise.
    """
    kept: list[Any] = []
    left_out: Counter[str] = Counter()
    for row in rows:
        turns = prompt_of(row).turns
        if has_rounds and not row.rounds:
            left_out[NO_ROUND] += 1
        elif is_text and not is_readable(turns):
            left_out[UNREADABLE] += 1
        elif alternates and not _alternate(turns):
            left_out[NOT_IN_TURN] += 1
        else:
            kept.append(row)
    return kept, left_out


def _alternate(turns: Sequence[Message]) -> bool:
    roles = [turn.role for turn in turns[1 if turns[0].role == "system" else 0 :]]
    return set(roles[::2]) == {"user"} and set(roles[1::2]) <= {"assistant"} and len(roles) % 2 == 1


def prompt_of(row: Any) -> Prompt:
    """Give the prompt that a row is about; a prompt is its own."""
    return row if isinstance(row, Prompt) else row.prompt


def parted(name: str, rows: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    """Give the rows to train on as ``name``, and those that are held out beside them as ``name_evaluation``."""
    for split, part in (("train", name), ("evaluation", f"{name}_evaluation")):
        some = [row for row in rows if prompt_of(row).split == split]
        if some:
            yield part, some


def hub_splits(columns: Mapping[str, Column], made: Iterable[tuple[str, dict[str, Any]]], kind: str) -> dict[str, File]:
    """Write rows by their split as ``train_KIND`` and ``test_KIND``, names that ``datasets.load_dataset`` finds."""
    found: dict[str, list[dict[str, Any]]] = {f"{split}_{kind}": [] for split in _HUB_SPLITS.values()}
    for split, row in made:
        found[f"{_HUB_SPLITS[split]}_{kind}"].append(row)
    return {
        f"data/{name}-00000-of-00001.parquet": File(len(rows), parquet(columns, rows)) for name, rows in found.items()
    }


def lost_columns(what: What, rows: Sequence[Any], keeps: frozenset[str] | None) -> tuple[str, ...]:
    """Name the columns of rows that a layout does not keep, where any of the rows has something in them."""
    if keeps is None:
        return ()
    record = RECORDS[what]
    defaults = {name: one.get_default() for name, one in record.model_fields.items() if not one.is_required()}
    found: dict[str, None] = {}
    for row in rows:
        for name, value in row.to_row().items():
            if name not in keeps and value not in (None, "", [], defaults.get(name)):
                found.setdefault(name)
    order = list(rows[0].to_row()) if rows else []
    return tuple(name for name in order if name in found)
