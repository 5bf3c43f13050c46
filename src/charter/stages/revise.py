"""Stage ``revise``: critique and revision of the training red-team prompts (CAI §3.1)."""

from __future__ import annotations

from charter.files.tables import write_table
from charter.records import Trace
from charter.revision import revise
from charter.runs.folder import Run
from charter.stages.prompts import read_prompts
from charter.stages.summary import Summary, summarise_rows, tally


def do_revise(run: Run) -> Summary:
    """Write ``data/traces.parquet``."""
    mapped = revise(
        read_prompts(run, "train", "red_team"),
        run.constitution,
        run.pool.engine("policy"),
        critic=run.pool.engine("critic"),
        reviser=run.pool.engine("reviser"),
        seed=run.recipe.seed,
        mapper=run.mapper,
        **run.recipe.revise.model_dump(),
    )
    write_table(run.data("traces"), mapped.done, Trace)
    return summarise_rows(mapped, counts={"flags": tally(flag for trace in mapped.done for flag in trace.flags)})
