"""Stage ``prompts``: load, split and select the prompts of the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from charter.errors import PromptError
from charter.files.tables import read_table, write_table
from charter.prompts import LoadedPrompts, load_prompts
from charter.prompts.contamination import find_crossing
from charter.prompts.grouping import group_of, join_groups
from charter.prompts.ids import settle_ids
from charter.prompts.near_duplicates import DEFAULT_THRESHOLD, near_links
from charter.prompts.selection import Selection, select_prompts
from charter.prompts.twins import check_twins
from charter.records import Prompt, PromptKind
from charter.runs.folder import Run
from charter.seeds import derive_seed
from charter.stages.generation import generate_prompts
from charter.stages.summary import Summary, summarise, tally

_N_EXAMPLES = 3


def do_prompts(run: Run) -> Summary:
    """Write ``data/prompts.parquet``; of prompts that the run writes itself ``data/written.jsonl`` too."""
    settings = run.recipe.prompts
    written = generate_prompts(run)
    sources = settings.sources().items()
    read = {
        kind: load_prompts(kind=kind, **source.model_dump()) for kind, source in sources if kind not in written.loaded
    }
    loaded = settle_ids(read | written.loaded)
    check_twins(loaded)
    found = {kind: one.prompts for kind, one in loaded.items()}
    chosen = select_prompts(found, (run.constitution, run.helpful), **settings.numbers())
    if written.loaded:
        _require_training(chosen, loaded)
    write_table(run.data("prompts"), chosen.prompts, Prompt)
    seen = resemblances(chosen, settings.near_duplicates)
    mended = {f"{kind}: {what}": n for kind, one in loaded.items() for what, n in one.mended.items()}
    rejected = {f"{kind}: {reason}": n for kind, one in loaded.items() for reason, n in one.rejected.items()}
    return summarise(
        sum(map(len, found.values())) + sum(rejected.values()),
        len(chosen.prompts),
        filtered=rejected | chosen.left_out,
        counts=tally(f"{prompt.split} {prompt.kind}" for prompt in chosen.prompts) | mended | seen | written.counts,
    )


def _require_training(chosen: Selection, loaded: Mapping[PromptKind, LoadedPrompts]) -> None:
    """Require what every run trains on: how much a model would write, no check could know before.

    Raises:
        PromptError: where no red-team prompt is left to train on.
    """
    if not any((prompt.kind, prompt.split) == ("red_team", "train") for prompt in chosen.prompts):
        n = len(loaded["red_team"].prompts)
        raise PromptError(
            f"of {n} red-team prompts that were written none is left to train on; in a new folder (--out) ask for more "
            "(prompts.generate), hold out fewer (prompts.n_evaluation), or take a larger model (models.red_team)"
        )


def resemblances(chosen: Selection, near_duplicates: float | None) -> dict[str, Any]:
    """Say which prompts were left out for what a few-shot shows, and which training prompts resemble held-out ones."""
    crossing = find_crossing(chosen.prompts, near_duplicates or DEFAULT_THRESHOLD)
    found = {"left out for a few-shot, such as": chosen.shown, "train, and resemble one held out, such as": crossing}
    return {
        about: {"number": len(those), "examples": [str(one) for one in those[:_N_EXAMPLES]]}
        for about, those in found.items()
        if those
    }


def read_prompts(run: Run, split: str, kind: PromptKind | None = None) -> list[Prompt]:
    """Read the run's prompts of one split, of one kind or all."""
    prompts = read_table(run.data("prompts"), Prompt)
    return [prompt for prompt in prompts if prompt.split == split and kind in (None, prompt.kind)]


def held_out_prompts(run: Run, others: Iterable[Prompt] = ()) -> dict[str, bool]:
    """Say of each training prompt, by its id, whether the trainings on feedback hold it out.

    Whole groups are held out, by a hash of the group's name: a prompt, its twins, and whatever else the split keeps
    together. A group is named after its first member, so that groups are named over all training prompts, whichever of
    them a stage has rows of: what one training holds out, no other trains on.

    Args:
        run: whose prompts.
        others: prompts of rows; those that are none of the run's are added.
    """
    prompts = {one.id: one for one in (*others, *read_prompts(run, "train"))}
    links = near_links(list(prompts.values()), run.recipe.prompts.near_duplicates)
    names = join_groups(prompts.values(), links)
    return {one.id: _is_held_out(run, names[group_of(one)]) for one in prompts.values()}


def _is_held_out(run: Run, group: str) -> bool:
    return derive_seed(run.recipe.seed, group, "held out") < run.recipe.label.held_out * 2**56
