"""Ids that nobody asked for, over all kinds: two files that are each numbered from 1 share no id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from charter.prompts.sources import LoadedPrompts, content_id
from charter.records import PromptKind

_ORDER: tuple[PromptKind, ...] = ("red_team", "benign_twin", "helpful")


def settle_ids(loaded: Mapping[PromptKind, LoadedPrompts]) -> dict[PromptKind, LoadedPrompts]:
    """Make ids from the content where a column ``id`` that nobody named repeats the ids of another kind.

    Files that are each numbered from 1 can so be read side by side. Ids that were asked for stay; of the others those
    of red-team prompts go first, because twins name them.
    """
    taken = {prompt.id for one in loaded.values() if not one.ids_unasked for prompt in one.prompts}
    settled = dict(loaded)
    for kind in sorted(loaded, key=_ORDER.index):
        if not loaded[kind].ids_unasked:
            continue
        if any(prompt.id in taken for prompt in loaded[kind].prompts):
            settled[kind] = _with_content_ids(loaded[kind])
        taken |= {prompt.id for prompt in settled[kind].prompts}
    return settled


def _with_content_ids(loaded: LoadedPrompts) -> LoadedPrompts:
    renamed = {one.id: one.model_copy(update={"id": content_id(one.kind, one.turns)}) for one in loaded.prompts}
    return replace(
        loaded,
        prompts=tuple(renamed.values()),
        places={renamed[old].id: place for old, place in loaded.places.items()},
        given_ids=frozenset(),
        ids_unasked=False,
    )
