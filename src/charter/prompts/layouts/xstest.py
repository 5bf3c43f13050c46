"""XSTest: prompts that look harmful and are safe, and the harmful ones that they contrast with (arXiv 2308.01263).

A row's ``label`` says what it is: safe ones are benign twins, unsafe ones red-team prompts. Which contrasts with which
no column says, but the types do: what ``contrast_homonyms`` lists contrasts with ``homonyms``. Where a contrast's name
is only part of others (``contrast_privacy``: ``privacy_public`` and ``privacy_fictional``), it contrasts with each of
them. Within two such types rows go together in their order, if their ``focus`` (or ``note``) agrees along it; otherwise
by a focus that one unsafe row alone has. Safe rows for which neither tells are linked with none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from charter.prompts.layouts.base import Columns, Layout, all_have, with_values
from charter.prompts.source_rows import SourceRow
from charter.records import PromptKind

_CONTRAST = "contrast_"
_AGREEING = 0.75  # of the rows: two types whose order means nothing agree in a few by chance
_KINDS: dict[str, PromptKind] = {"safe": "benign_twin", "unsafe": "red_team"}


def _label(row: SourceRow) -> str:
    return str(row.values["label"]).strip().lower()


def _fits(rows: Sequence[SourceRow]) -> bool:
    return all_have(rows, "prompt", "type", "label") and any(_label(row) in _KINDS for row in rows)


def _unfold(rows: Sequence[SourceRow]) -> list[SourceRow]:
    reason = "labelled neither safe nor unsafe"
    return [row if _label(row) in _KINDS else with_values(row, {}, reason=reason) for row in rows]


def link_contrasts(rows: Sequence[SourceRow]) -> dict[int, int]:
    """Find the unsafe row that each safe row contrasts with, both by position."""
    safe, unsafe = (_by_type(rows, label) for label in ("safe", "unsafe"))
    links: dict[int, int] = {}
    for name, members in safe.items():
        contrast = _contrast_of(name, unsafe)
        if contrast is not None:
            links |= _link(rows, members, unsafe[contrast])
    return links


def _by_type(rows: Sequence[SourceRow], label: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for position, row in enumerate(rows):
        if _label(row) == label:
            found[str(row.values["type"]).strip()].append(position)
    return found


def _contrast_of(name: str, unsafe: Mapping[str, object]) -> str | None:
    """Find the type that a safe type contrasts with: by its whole name, else by the longest part of it."""
    parts = f"_{name}_"
    fitting = [one for one in unsafe if one.startswith(_CONTRAST) and f"_{one.removeprefix(_CONTRAST)}_" in parts]
    return max(fitting, key=len, default=None)


def _link(rows: Sequence[SourceRow], safe: Sequence[int], unsafe: Sequence[int]) -> dict[int, int]:
    if len(safe) == len(unsafe):
        agreeing = sum(_agree(rows[one], rows[other]) for one, other in zip(safe, unsafe, strict=True))
        if agreeing >= _AGREEING * len(safe):
            return dict(zip(safe, unsafe, strict=True))
    by_focus: dict[str, list[int]] = defaultdict(list)
    for position in unsafe:
        by_focus[_sign(rows[position], "focus")].append(position)
    lone = {focus: found[0] for focus, found in by_focus.items() if focus and len(found) == 1}
    return {position: lone[focus] for position in safe if (focus := _sign(rows[position], "focus")) in lone}


def _agree(one: SourceRow, other: SourceRow) -> bool:
    """Whether two rows turn on the same: on the same focus, or where neither has one on the same note."""
    for column in ("focus", "note"):
        signs = _sign(one, column), _sign(other, column)
        if any(signs):
            return signs[0] == signs[1]
    return False


def _sign(row: SourceRow, column: str) -> str:
    return str(row.values.get(column) or "").strip().casefold()


XSTEST = Layout(
    "xstest",
    "'prompt', 'type' and 'label', which is safe or unsafe",
    _fits,
    Columns(prompt="prompt", id="id", category="type"),
    unfold=_unfold,
    kind_of=lambda row: _KINDS.get(_label(row)),
    links=link_contrasts,
)
