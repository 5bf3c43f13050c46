"""What a layout of prompts is: how it is recognised, which columns hold what, and what has to be unfolded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from charter.prompts.source_rows import SourceRow
from charter.records import PromptKind, PromptLayout

#: Where a row says what was done to its prompt.
MENDED = "(mended)"


@dataclass(frozen=True)
class Columns:
    """Which columns of a source hold what; None where nothing does, or where it is guessed (``prompt``, ``id``)."""

    prompt: str | None = None
    id: str | None = None
    category: str | None = "category"
    reference: str | None = "reference"
    principle: str | None = "principle"
    setting: str | None = "setting"
    twin: str | None = "twin_of"
    split: str | None = None
    source_id: str | None = "source_id"
    system: str | None = None


def _same(rows: Sequence[SourceRow]) -> list[SourceRow]:
    return list(rows)


def _any_kind(_: SourceRow) -> PromptKind | None:
    return None


def _no_links(_: Sequence[SourceRow]) -> dict[int, int]:
    return {}


@dataclass(frozen=True)
class Layout:
    """One way in which files hold prompts.

    Attributes:
        name: in recipes.
        about: what its rows have, in words for an error.
        fits: whether rows, all of them, are of this layout.
        columns: which of them hold what, after unfolding.
        unfold: makes rows of one prompt each; a row that holds none says why (``SourceRow.reason``).
        kind_of: what a row is for, None where the file does not say.
        links: benign rows by position, each with the position of the red-team row that it imitates.
        is_indexed: the principle is a position in a constitution.
        has_transcripts: texts are whole conversations.
    """

    name: PromptLayout
    about: str
    fits: Callable[[Sequence[SourceRow]], bool]
    columns: Columns = field(default_factory=Columns)
    unfold: Callable[[Sequence[SourceRow]], list[SourceRow]] = _same
    kind_of: Callable[[SourceRow], PromptKind | None] = _any_kind
    links: Callable[[Sequence[SourceRow]], Mapping[int, int]] = _no_links
    is_indexed: bool = False
    has_transcripts: bool = False


def all_have(rows: Sequence[SourceRow], *columns: str, of: type | tuple[type, ...] = object) -> bool:
    """Whether every row has every one of these columns, and in each a value of the type."""
    return all(name in row.values and isinstance(row.values[name], of) for row in rows for name in columns)


def with_values(row: SourceRow, added: Mapping[str, Any], part: str = "", reason: str = "") -> SourceRow:
    """Copy a row with further values, the name of its part in the place, and why it holds no prompt."""
    place = f"{row.place} {part}" if part else row.place
    return SourceRow({**row.values, **added}, place, row.header, row.key, reason)
