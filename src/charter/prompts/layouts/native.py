"""Charter's own rows: the records of a prompt, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from charter.prompts.layouts.base import Columns, Layout, all_have
from charter.prompts.source_rows import SourceRow
from charter.records import PromptKind

_KINDS: dict[str, PromptKind] = {"red_team": "red_team", "helpful": "helpful", "benign_twin": "benign_twin"}
_COLUMNS = Columns(prompt="turns", id="id", split="split")


def _kind(row: SourceRow) -> PromptKind | None:
    return _KINDS.get(str(row.values["kind"]))


def _unfold(rows: Sequence[SourceRow]) -> list[SourceRow]:
    """Name rows that carry a prompt beside something else (traces, pairs) by the prompt's id."""
    return [
        replace(
            row,
            values={**row.values, "id": row.values.get("prompt_id", row.values.get("id"))},
            reason="" if _kind(row) else "of a kind that is not known",
        )
        for row in rows
    ]


NATIVE = Layout(
    "native",
    "'turns' and 'kind', as Charter writes them",
    lambda rows: all_have(rows, "turns", of=list) and all_have(rows, "kind", of=str),
    _COLUMNS,
    unfold=_unfold,
    kind_of=_kind,
)
