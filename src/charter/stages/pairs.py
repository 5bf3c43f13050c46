"""Stage ``pairs``: two responses to a prompt, by source and kind of prompt in stated shares (CAI §4.1)."""

from __future__ import annotations

from charter.feedback import pairs
from charter.files.tables import read_table, write_table
from charter.records import Pair, Trace
from charter.runs.folder import Run
from charter.stages.prompts import read_prompts
from charter.stages.summary import Summary, summarise_rows, tally


def do_pairs(run: Run) -> Summary:
    """Write ``data/pairs.parquet``."""
    settings = run.recipe.pairs
    trained = run.pool.trained("policy", run.model("sft"))
    mapped = pairs(
        read_prompts(run, "train"),
        read_table(run.data("traces"), Trace),
        run.constitution,
        trained,
        guide=trained if settings.guided_by == "sft" else run.pool.engine("policy"),
        n=settings.n,
        kinds=settings.kinds,
        sources=settings.sources,
        intended_classes=settings.intended_classes,
        n_tries=settings.n_tries,
        on_cut=settings.on_cut,
        few_shots=settings.few_shots,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        seed=run.recipe.seed,
        mapper=run.mapper,
    )
    write_table(run.data("pairs"), mapped.done, Pair)
    made = tally(f"{pair.prompt.kind} {pair.source}" for pair in mapped.done)
    return summarise_rows(mapped, counts={"asked for": settings.n, "made": made})
