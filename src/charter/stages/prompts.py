"""Stage ``prompts``: load, split and select the prompts of the run."""

from __future__ import annotations

from charter.files.tables import read_table, write_table
from charter.prompts import load_prompts
from charter.prompts.ids import settle_ids
from charter.prompts.selection import select_prompts
from charter.prompts.twins import check_twins
from charter.records import Prompt, PromptKind
from charter.runs.folder import Run
from charter.stages.summary import Summary, summarise, tally


def do_prompts(run: Run) -> Summary:
    """Write ``data/prompts.parquet``."""
    settings = run.recipe.prompts
    sources = settings.sources().items()
    loaded = settle_ids({kind: load_prompts(kind=kind, **source.model_dump()) for kind, source in sources})
    check_twins(loaded)
    found = {kind: one.prompts for kind, one in loaded.items()}
    chosen = select_prompts(found, (run.constitution, run.helpful), **settings.numbers())
    write_table(run.data("prompts"), chosen.prompts, Prompt)
    rejected = {f"{kind}: {reason}": n for kind, one in loaded.items() for reason, n in one.rejected.items()}
    return summarise(
        sum(map(len, found.values())) + sum(rejected.values()),
        len(chosen.prompts),
        filtered=rejected | chosen.left_out,
        counts=tally(f"{prompt.split} {prompt.kind}" for prompt in chosen.prompts),
    )


def read_prompts(run: Run, split: str, kind: PromptKind | None = None) -> list[Prompt]:
    """Read the run's prompts of one split, of one kind or all."""
    prompts = read_table(run.data("prompts"), Prompt)
    return [prompt for prompt in prompts if prompt.split == split and kind in (None, prompt.kind)]
