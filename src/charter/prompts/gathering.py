"""Prompts of several files together, of whatever kinds they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charter.errors import PromptError
from charter.prompts.layouts import choose_layout
from charter.prompts.reading import read_rows
from charter.prompts.row_prompts import content_id
from charter.prompts.sources import LoadedPrompts, load_prompts
from charter.records import BUILT_IN, Prompt, PromptKind, PromptLayout

_KINDS: tuple[PromptKind, ...] = ("red_team", "benign_twin", "helpful")
_OF_ANOTHER_FILE = "duplicate text of another file"


@dataclass(frozen=True)
class Gathered:
    """The prompts of all files in their order, and how many rows were left out, by file and reason."""

    prompts: tuple[Prompt, ...]
    rejected: Mapping[str, Mapping[str, int]]


def gather_prompts(
    sources: Sequence[str],
    *,
    kind: PromptKind = "red_team",
    layout: PromptLayout | None = None,
    column: str | None = None,
    **options: Any,
) -> Gathered:
    """Read the prompts of files, each prompt once.

    Ids that a file gives without being asked for them are kept where no other file has the same.

    Args:
        sources: as ``load_prompts`` takes them.
        kind: of prompts whose file does not say what they are for.
        layout: of all files; None recognises each.
        column: where the prompt is.
        options: more arguments of ``load_prompts``.

    Raises:
        PromptError: where a file cannot be read, or two files share an id that was asked for.
    """
    by_id: dict[str, Prompt] = {}
    seen: set[tuple[Any, ...]] = set()
    rejected: dict[str, Counter[str]] = {}
    for source in sources:
        kinds, unfit = _look_at(source, kind, layout, column)
        several = [load_prompts(source, one, layout=layout, column=column, **options) for one in kinds]
        rejected[source] = _rejected(several, unfit)
        for prompt in _distinct(several, by_id):
            if (prompt.kind, prompt.turns) in seen:
                rejected[source][_OF_ANOTHER_FILE] += 1
                continue
            other = by_id.setdefault(prompt.id, prompt)
            if other is not prompt:
                raise PromptError(
                    f"{source}: the id {prompt.id!r} is one of {other.source} too; make their ids differ, or name "
                    "another column of ids"
                )
            seen.add((prompt.kind, prompt.turns))
    return Gathered(tuple(by_id.values()), {source: dict(reasons) for source, reasons in rejected.items()})


def _look_at(
    source: str, kind: PromptKind, layout: PromptLayout | None, column: str | None
) -> tuple[list[PromptKind], Counter[str]]:
    """Say which kinds of prompts a file holds, and why its layout finds no prompt in some rows, of whatever kind."""
    if source == BUILT_IN:
        return list(_KINDS), Counter()
    rows = read_rows(source)
    form = choose_layout(rows, layout, column)
    unfolded = form.unfold(rows)
    said = {form.kind_of(row) for row in unfolded if not row.reason}
    return [one for one in _KINDS if one in said] or [kind], Counter(row.reason for row in unfolded if row.reason)


def _rejected(several: Sequence[LoadedPrompts], unfit: Counter[str]) -> Counter[str]:
    """Add up what was left out: rows of a kind that was read too are not, and those of no kind are counted once."""
    reasons = unfit + sum((Counter(one.rejected) - unfit for one in several), Counter[str]())
    if len(several) > 1:
        reasons.pop("of another kind", None)
    return reasons


def _distinct(several: Sequence[LoadedPrompts], taken: Mapping[str, Prompt]) -> Iterable[Prompt]:
    """Give a file's prompts, with ids from their content where those that nobody asked for are taken."""
    prompts = [prompt for one in several for prompt in one.prompts]
    clash = len({prompt.id for prompt in prompts}) < len(prompts) or any(prompt.id in taken for prompt in prompts)
    if not (clash and all(one.ids_unasked for one in several)):
        return prompts
    new = {prompt.id: content_id(prompt.kind, prompt.turns) for prompt in reversed(prompts)}
    return [
        prompt.model_copy(
            update={
                "id": content_id(prompt.kind, prompt.turns),
                "twin_of": new.get(prompt.twin_of, prompt.twin_of) if prompt.twin_of else None,
                "source_id": prompt.source_id or prompt.id,
            }
        )
        for prompt in prompts
    ]
