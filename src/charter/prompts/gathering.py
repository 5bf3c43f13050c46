"""Prompts of several files together, of whatever kinds they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from charter.errors import PromptError
from charter.prompts.layouts import choose_layout
from charter.prompts.reading import read_rows
from charter.prompts.row_prompts import PromptColumnError, content_id
from charter.prompts.sources import LoadedPrompts, load_prompts
from charter.records import BUILT_IN, Prompt, PromptKind, PromptLayout
from charter.spelling import hint

_KINDS: tuple[PromptKind, ...] = ("red_team", "benign_twin", "helpful")
_OF_ANOTHER_FILE = "duplicate text of another file"


@dataclass(frozen=True)
class Gathered:
    """The prompts of all files in their order, and by file how many rows were left out or mended, and why."""

    prompts: tuple[Prompt, ...]
    rejected: Mapping[str, Mapping[str, int]]
    mended: Mapping[str, Mapping[str, int]]


def gather_prompts(
    sources: Sequence[str],
    *,
    kind: PromptKind = "red_team",
    layout: PromptLayout | None = None,
    column: str | None = None,
    column_option: str = "",
    **options: Any,
) -> Gathered:
    """Read the prompts of files, each prompt once.

    Ids that a file gives without being asked for them are kept where no other file has the same.

    Args:
        sources: as ``load_prompts`` takes them.
        kind: of prompts whose file does not say what they are for; those that name what they imitate are twins.
        layout: of all files; None recognises each.
        column: where the prompt is.
        column_option: of the command, which names that column; empty where none does.
        options: more arguments of ``load_prompts``.

    Raises:
        PromptError: where a file cannot be read, or two files share an id that was asked for.
    """
    by_id: dict[str, Prompt] = {}
    given_ids: set[str] = set()
    seen: set[tuple[Any, ...]] = set()
    rejected: dict[str, Counter[str]] = {}
    mended: dict[str, Counter[str]] = {}
    for source in sources:
        kinds, unfit = told_kinds(source, layout, column)

        def load(one: PromptKind, source: str = source) -> LoadedPrompts:
            try:
                return load_prompts(source, one, layout=layout, column=column, **options)
            except PromptColumnError as error:
                remedy = f"Set {column_option} to one of" if column_option else "Call it 'prompt'; there are"
                raise PromptColumnError(error.place, error.columns, remedy) from error

        several = [load(one) for one in kinds] if kinds else _by_links(load, kind)
        given_ids.update(*(one.given_ids for one in several))
        rejected[source] = _rejected(several, unfit)
        mended[source] = sum((Counter(one.mended) for one in several), Counter[str]())
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
    return Gathered(_linked(by_id, given_ids), rejected, {source: why for source, why in mended.items() if why})


def told_kinds(
    source: str, layout: PromptLayout | None = None, column: str | None = None
) -> tuple[list[PromptKind], Counter[str]]:
    """Say which kinds of prompts a file says it holds, and why its layout finds no prompt in some rows."""
    if source == BUILT_IN:
        return list(_KINDS), Counter()
    rows = read_rows(source)
    form = choose_layout(rows, layout, column)
    unfolded = form.unfold(rows)
    said = {form.kind_of(row) for row in unfolded if not row.reason}
    return [one for one in _KINDS if one in said], Counter(row.reason for row in unfolded if row.reason)


def _by_links(load: Callable[[PromptKind], LoadedPrompts], kind: PromptKind) -> list[LoadedPrompts]:
    """Load a file that does not say what its prompts are for: those that name what they imitate are benign twins."""
    loaded = load(kind)
    return [replace(loaded, prompts=tuple(_as_twin(one) if one.twin_of else one for one in loaded.prompts))]


def _as_twin(prompt: Prompt) -> Prompt:
    own_id = prompt.id if prompt.id != content_id(prompt.kind, prompt.turns) else None
    return prompt.model_copy(update={"kind": "benign_twin", "id": own_id or content_id("benign_twin", prompt.turns)})


def _linked(by_id: Mapping[str, Prompt], given_ids: Collection[str]) -> tuple[Prompt, ...]:
    """Let every twin name the prompt that it imitates by the id that this has here.

    Raises:
        PromptError: for a twin of no prompt, where there are prompts that it could imitate.
    """
    red_team = {prompt.id: prompt for prompt in by_id.values() if prompt.kind == "red_team"}
    renamed: dict[str, list[str]] = {}
    for prompt in red_team.values():
        renamed.setdefault(prompt.source_id or prompt.id, []).append(prompt.id)
    linked = []
    for prompt in by_id.values():
        meant = renamed.get(prompt.twin_of or "", [])
        if len(meant) > 1:
            raise PromptError(
                f"{prompt.source}: twin_of is {prompt.twin_of!r}, which is the id of {len(meant)} prompts in these "
                "files; make their ids differ"
            )
        if prompt.twin_of is None or prompt.twin_of in red_team:
            linked.append(prompt)
        elif meant:
            linked.append(prompt.model_copy(update={"twin_of": meant[0]}))
        elif red_team and prompt.twin_of not in given_ids:
            raise PromptError(
                f"{prompt.source}: twin_of is {prompt.twin_of!r}, which is the id of no prompt in these files"
                f"{hint(prompt.twin_of, red_team)}; mend it, or name the column of ids (id_column)"
            )
        else:
            linked.append(prompt)
    return tuple(linked)


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
    imitated = [prompt for prompt in reversed(prompts) if prompt.kind == "red_team"]
    new = {prompt.id: content_id(prompt.kind, prompt.turns) for prompt in imitated}
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
