"""Ids that nobody asked for, and links that a layout found, over all kinds.

Two files that are each numbered from 1 share no id, and a link means a prompt of its own file alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from charter.prompts.row_prompts import content_id
from charter.prompts.sources import LoadedPrompts
from charter.records import PromptKind

_ORDER: tuple[PromptKind, ...] = ("red_team", "benign_twin", "helpful")


def settle_ids(loaded: Mapping[PromptKind, LoadedPrompts]) -> dict[PromptKind, LoadedPrompts]:
    """Make ids from the content where a column ``id`` that nobody named repeats the ids of another kind.

    Files that are each numbered from 1 can so be read side by side. Ids that were asked for stay; of the others those
    of red-team prompts go first, because twins name them.

    Twins that their layout links with red-team prompts of the same file lose that link beside another source, where the
    same id would be another prompt's.
    """
    loaded = _unlinked(loaded)
    taken = {prompt.id for one in loaded.values() if not one.ids_unasked for prompt in one.prompts}
    settled = dict(loaded)
    for kind in sorted(loaded, key=_ORDER.index):
        if not loaded[kind].ids_unasked:
            continue
        if any(prompt.id in taken for prompt in loaded[kind].prompts):
            settled[kind] = _with_content_ids(loaded[kind])
        taken |= {prompt.id for prompt in settled[kind].prompts}
    return _relinked(settled, loaded)


def _unlinked(loaded: Mapping[PromptKind, LoadedPrompts]) -> Mapping[PromptKind, LoadedPrompts]:
    twins, red_team = loaded.get("benign_twin"), loaded.get("red_team")
    if twins is None or not twins.links_within:
        return loaded
    if red_team is not None and Path(red_team.source).resolve() == Path(twins.source).resolve():
        return loaded
    alone = tuple(twin.model_copy(update={"twin_of": None}) for twin in twins.prompts)
    return {**loaded, "benign_twin": replace(twins, prompts=alone, links_within=False)}


def _relinked(
    settled: dict[PromptKind, LoadedPrompts], before: Mapping[PromptKind, LoadedPrompts]
) -> dict[PromptKind, LoadedPrompts]:
    """Let links that a layout found follow the red-team prompts to their new ids."""
    twins = settled.get("benign_twin")
    if twins is None or not twins.links_within or settled["red_team"] is before["red_team"]:
        return settled
    new = {old.id: one.id for old, one in zip(before["red_team"].prompts, settled["red_team"].prompts, strict=True)}
    moved = tuple(
        twin if twin.twin_of is None else twin.model_copy(update={"twin_of": new.get(twin.twin_of, twin.twin_of)})
        for twin in twins.prompts
    )
    return {**settled, "benign_twin": replace(twins, prompts=moved)}


def _with_content_ids(loaded: LoadedPrompts) -> LoadedPrompts:
    renamed = {
        one.id: one.model_copy(update={"id": content_id(one.kind, one.turns), "source_id": one.source_id or one.id})
        for one in loaded.prompts
    }
    return replace(
        loaded,
        prompts=tuple(renamed.values()),
        places={renamed[old].id: place for old, place in loaded.places.items()},
        given_ids=frozenset(),
        ids_unasked=False,
    )
